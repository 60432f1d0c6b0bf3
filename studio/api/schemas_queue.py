"""When and where runs start, as it goes in and comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import StringConstraints

from studio.api.schemas import Given, Id

Text = Annotated[str, StringConstraints(max_length=80)]


class QueueGiven(Given):
    """Options of queue_options.QUEUE_OPTIONS, which checks their values."""

    pool: Text | None = Field(None, description="Which group of workers takes it; `default` when left out.")
    priority: int | None = Field(None, ge=-100, le=100, description="Runs with a higher one start first.")
    start_after: datetime | Text | None = Field(None, description="A moment, or a time from now such as 2h30min.")
    gpus: int | None = Field(None, ge=0, le=64, description="How many GPUs it is given; one where there are any.")
    labels: list[Text] | None = Field(None, max_length=20, description="What its worker must have.")
    max_runtime: Text | None = Field(None, description="Such as 2h: then it is stopped with a checkpoint.")


QUEUE_FIELDS = frozenset(QueueGiven.model_fields)


class QueueChange(QueueGiven):
    free: bool = Field(False, description="Start without the run that it was to come after.")


class Move(Given):
    where: Literal["first", "up", "down", "last"] | None = None
    before: Id | None = Field(None, description="The run to stand before; of the same pool and priority.")


class PlaceOut(Schema):
    """Null where the run does not wait."""

    place: int | None = Field(None, description="1 is next in its pool.")
    why: str | None = Field(None, description="Why it waits, in words.")
    starts_in_s: float | None = Field(None, description="An estimate; null while nothing can be said.")


class PoolGiven(Given):
    note: Annotated[str, StringConstraints(max_length=200)] = ""


class PoolOut(Schema):
    name: str
    paused_at: datetime | None
    note: str


def queueing_of(given: dict[str, Any]) -> dict[str, Any]:
    """Takes the queue's fields out of what was sent for a new run."""
    return {name: given.pop(name) for name in [*QUEUE_FIELDS, "after", "after_checkpoint"] if name in given}
