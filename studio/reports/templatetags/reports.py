"""Template filters of comments and reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django import template
from django.utils.safestring import SafeString

from studio.core import markdown
from studio.reports import svg

register = template.Library()


@register.filter(name="markdown")
def as_html(text: str, people: Collection[str] = ()) -> SafeString:
    """Markdown as safe HTML; `people` are the log-in names that stand out after an @."""
    return markdown.render(text, people)


@register.filter
def page_markdown(text: str, people: Collection[str] = ()) -> SafeString:
    """The same for a text that is the page itself: its headings follow the title."""
    return markdown.render(text, people, is_page=True)


@register.filter
def picture(chart: dict[str, Any]) -> svg.Picture:
    return svg.picture(chart)


@register.filter
def get_at(values: Sequence[Any], index: int) -> Any:
    return values[index]
