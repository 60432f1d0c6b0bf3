"""How the charts of a project are arranged: for each person, and for the project's members who arranged nothing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.db.models import F
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.accounts.models import Project, User
from studio.tracking.models import ChartLayout

Title = Annotated[str, Field(min_length=1, max_length=1000)]
Titles = Annotated[list[Title], Field(max_length=500)]


class Layout(BaseModel):
    """Charts by their titles. `order` comes before the order of names; `opened` and `closed` are sections that differ
    from how they would begin."""

    model_config = ConfigDict(extra="forbid", strict=True)

    pinned: Titles | None = None  # the charts that every run opens with
    hidden: Titles = []
    order: Titles = []
    opened: Titles = []
    closed: Titles = []
    smoothing: Annotated[float, Field(ge=0, le=0.99)] = 0.0
    x: Literal["step", "epoch", "samples", "relative", "time"] = "step"
    log_x: bool = False
    log_y: bool = False
    clip: Literal["none", "98", "90"] = "none"
    events: bool = True


def layout_for(project: Project, user: User | None) -> dict[str, Any]:
    """The person's own, else the project's, else the defaults; `whose` says which. One query."""
    rows = ChartLayout.objects.filter(project=project)
    mine = rows.filter(user=user) if user is not None else rows.none()
    row = (mine | rows.filter(user=None)).order_by(F("user").asc(nulls_last=True)).first()
    whose = "default" if row is None else "project" if row.user_id is None else "own"
    return {**_read(row.data if row else {}).model_dump(), "whose": whose}


def save_layout(project: Project, user: User | None, layout: Layout) -> None:
    """Keep it for this person, or with None for the project."""
    values = {"data": layout.model_dump(exclude_defaults=True), "updated_at": timezone.now()}
    ChartLayout.objects.update_or_create(project=project, user=user, defaults=values)


def reset_layout(project: Project, user: User | None) -> None:
    ChartLayout.objects.filter(project=project, user=user).delete()


def words_of(error: ValidationError) -> str:
    """What was wrong with a layout that was sent."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "layout"
    return f"{place}: {first['msg']}."


def _read(data: dict[str, Any]) -> Layout:
    """A stored layout; what an earlier version kept and this one does not know is left out."""
    try:
        return Layout.model_validate({k: v for k, v in data.items() if k in Layout.model_fields})
    except ValidationError:
        return Layout()
