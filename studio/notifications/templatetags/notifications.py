"""The button with which a person is told how a run ends."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from studio.notifications.models import RunWatch
from studio.runs.models import Run

register = template.Library()


@register.inclusion_tag("notifications/_watch.html", takes_context=True)
def watch_button(context: Context, run: Run) -> dict[str, Any]:
    """One query."""
    user = context["request"].user
    watched = RunWatch.objects.filter(run=run, user=user).exists()
    return {
        "run": run,
        "watched": watched,
        "own": run.created_by_id == user.pk,
        "csrf_token": context.get("csrf_token"),
    }
