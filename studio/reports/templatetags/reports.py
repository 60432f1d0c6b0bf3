"""Template filters of comments and reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django import template
from django.utils.safestring import SafeString

from studio.core import markdown
from studio.reports import svg
from studio.reports.models import ReviewRequest
from studio.runs.models import Run

register = template.Library()
MOST_REVIEWS = 50


@register.filter(name="markdown")
def as_html(text: str, people: Collection[str] = ()) -> SafeString:
    """Markdown as safe HTML; `people` are the log-in names that stand out after an @."""
    return markdown.render(text, people)


@register.filter
def page_markdown(text: str, people: Collection[str] = ()) -> SafeString:
    """The same for a text that is the page itself: its headings follow the title."""
    return markdown.render(text, people, is_page=True)


@register.simple_tag
def reviews_of(run: Run) -> list[ReviewRequest]:
    """Of each reviewer the newest that stands. One query."""
    rows = ReviewRequest.objects.filter(run=run).exclude(state=ReviewRequest.State.WITHDRAWN)
    found: dict[int, ReviewRequest] = {}
    for review in rows.select_related("reviewer").order_by("-created_at", "-pk")[:MOST_REVIEWS]:
        found.setdefault(review.reviewer_id, review)
    return list(found.values())


@register.filter
def picture(chart: dict[str, Any]) -> svg.Picture:
    return svg.picture(chart)


@register.filter
def get_at(values: Sequence[Any], index: int) -> Any:
    return values[index]
