"""Template filters of comments."""

from __future__ import annotations

from collections.abc import Collection

from django import template
from django.utils.safestring import SafeString

from studio.core import markdown

register = template.Library()


@register.filter(name="markdown")
def as_html(text: str, people: Collection[str] = ()) -> SafeString:
    """Markdown as safe HTML; `people` are the log-in names that stand out after an @."""
    return markdown.render(text, people)
