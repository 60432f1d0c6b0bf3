"""What the pages of a run say about what was removed of it."""

from __future__ import annotations

from django import template

from studio.runs.models import Run
from studio.storage.models import Removal

register = template.Library()
SHOWN = 5


@register.simple_tag
def removed_from(run: Run) -> list[Removal]:
    """The newest removals of a run that has ended; one query for it, none for others."""
    return list(Removal.objects.filter(run=run).select_related("by")[:SHOWN]) if run.is_settled else []
