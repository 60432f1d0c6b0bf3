"""Lists in pages: the newest first, at most 200 a page, continued by the cursor that the page before gave."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from django.db.models import QuerySet
from ninja import Field, Schema

T = TypeVar("T")
MOST = 200
Limit = Annotated[int, Field(ge=1, le=MOST, description=f"How many, at most {MOST}.")]
Cursor = Annotated[int | None, Field(ge=1, le=2**63 - 1, description="`next` of the page before.")]


class Page(Schema, Generic[T]):
    """`next` is the cursor of the page after this one, null on the last."""

    items: list[T]
    next: int | None = None


def page_of(rows: QuerySet[Any], limit: int, cursor: int | None) -> dict[str, Any]:
    """One query, whatever the page: it goes on behind an id, so that rows made meanwhile shift nothing."""
    rows = rows.order_by("-pk")
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return {"items": found[:limit], "next": found[limit - 1].pk if more else None}
