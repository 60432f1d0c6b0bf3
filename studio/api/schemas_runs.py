"""Runs as they go in and come out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.urls import reverse
from ninja import Field, Schema
from pydantic import StringConstraints

from studio.api.schemas import Given, Id, Note
from studio.api.schemas_queue import QueueGiven
from studio.runs.models import State

Values = dict[str, Any]


class RunGiven(QueueGiven):
    project: Id
    model_version: Id
    dataset_version: Id
    name: Annotated[str, StringConstraints(max_length=120)] = ""
    trainer: Values = Field(default_factory=dict, description="Options of the trainer, such as max_epochs.")
    model_args: Values = Field(default_factory=dict, description="What the model's __init__ takes: see `params`.")
    data_args: Values = Field(default_factory=dict, description="What the dataset's __init__ takes: see `params`.")
    extras: Values = Field(
        default_factory=dict,
        description="Early stopping, checkpoint policy, and `stage`: fit, validate, test, predict.",
    )
    seed: int | None = Field(None, ge=0, le=2**32 - 1, description="Drawn when left out.")
    parent: Id | None = None
    after: Id | None = Field(None, description="A run of the same team that has to succeed first.")
    after_checkpoint: Literal["best", "last"] | None = Field(
        None,
        description="Begin with this checkpoint of `after`, once that has succeeded; `start_mode` says what of it.",
    )
    start: Id | None = Field(None, description="Id of a checkpoint that the run begins with.")
    start_mode: Literal["weights", "all"] = Field(
        "weights", description="Its weights alone, to fine-tune, or all of it, to train further exactly."
    )
    preset: Id | None = Field(None, description="Values of this preset where nothing else is given.")
    note: Note = ""


class RunFilters(Given):
    project: Id | None = None
    state: list[State] = Field(default_factory=list, max_length=len(State), description="Any of these.")
    model: Id | None = None
    dataset: Id | None = None
    parent: Id | None = None
    name: str = Field("", max_length=120, description="A part of the name.")


class RunOut(Schema):
    id: int
    number: int
    name: str
    project: int = Field(alias="project_id")
    state: str
    outcome: str
    reason: str = Field(description="Why it is in this state, in words.")
    source: str = Field(description="studio, or external: a program elsewhere logs it, and it has no versions.")
    model_version: int | None = Field(alias="model_version_id")
    dataset_version: int | None = Field(alias="dataset_version_id")
    parent: int | None = Field(alias="parent_id")
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    progress: Values
    summary: Values
    url: str = Field(description="Its page.")

    @staticmethod
    def resolve_created_by(run: Any) -> str | None:
        return run.created_by.username if run.created_by else None

    @staticmethod
    def resolve_url(run: Any) -> str:
        return settings.PUBLIC_URL + reverse("run", args=[run.pk])


class RunDetail(RunOut):
    note: str
    tags: list[str]
    attempt: int = Field(alias="fence")
    spec: Values
    spec_hash: str
    queued_at: datetime | None
    pool: str
    priority: int
    gpus: int | None
    labels: list[str]
    max_runtime_s: int | None
    not_before: datetime
    after: int | None = Field(alias="after_id")
    after_checkpoint: str = Field(description="best or last: of `after`, what it begins with; or empty.")
    start: int | None = Field(alias="start_checkpoint_id", description="The checkpoint that it begins with.")


class EventOut(Schema):
    at: datetime
    kind: str
    attempt: int = Field(alias="fence")
    from_state: str
    to_state: str
    by: str
    text: str


class CheckpointOut(Schema):
    id: int
    run: int = Field(alias="run_id")
    attempt: int = Field(alias="fence")
    step: int
    epoch: float
    size_bytes: int
    metrics: Values
    score: float | None
    is_best: bool
    pinned: bool
    created_at: datetime


class ReproductionOut(Schema):
    of: int | None
    verdict: str = Field(description="waiting, equal, differs or unknown")
    words: str
    metrics: list[str] = Field(description="Whose values differ.")
    differs: dict[str, dict[str, list[str]]] = Field(
        description="By layer and fact: the first run's value and this one's."
    )
