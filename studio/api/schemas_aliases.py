"""Aliases of registered models and their moves, as they go in and come out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from ninja import Field, Schema
from pydantic import StringConstraints

from studio.accounts.access import editors_of
from studio.accounts.models import Project, User
from studio.api.errors import ApiError
from studio.api.schemas import Given
from studio.runs.registered_models import AliasMove

Why = Annotated[str, StringConstraints(max_length=500)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Reviewer = Annotated[
    str,
    Field(max_length=150, description="User name of an editor who has to approve the alias first; empty for nobody."),
]


class AliasGiven(Given):
    alias: Word
    why: Why = ""


class MoveGiven(AliasGiven):
    reviewer: Reviewer = ""


class ProtectGiven(Given):
    alias: Word
    on: bool = True


class MoveOut(Schema):
    """`version` is null where the alias names nothing any more, `before` where it named nothing."""

    id: int
    model: int = Field(alias="model_id")
    alias: str
    before: int | None
    version: int | None
    stage: str = Field(description="done, declined, or waiting: somebody else has to approve.")
    is_rollback: bool
    why: str
    by: str | None
    reviewer: str | None = Field(description="Who was asked to approve it.")
    decided_by: str | None
    at: datetime
    decided_at: datetime | None

    @staticmethod
    def resolve_version(obj: AliasMove) -> int | None:
        return obj.to.number if obj.to else None

    @staticmethod
    def resolve_before(obj: AliasMove) -> int | None:
        return obj.before.number if obj.before else None

    @staticmethod
    def resolve_by(obj: AliasMove) -> str | None:
        return obj.by.username if obj.by else None

    @staticmethod
    def resolve_reviewer(obj: AliasMove) -> str | None:
        return obj.reviewer.username if obj.reviewer else None

    @staticmethod
    def resolve_decided_by(obj: AliasMove) -> str | None:
        return obj.decided_by.username if obj.decided_by else None


def reviewer_of(project: Project, username: str) -> User | None:
    """None for nobody; the same words for who does not exist and who is not in the project."""
    if not username:
        return None
    found = editors_of(project).filter(username=username).first()
    if found is None:
        words = f"reviewer: {username!r} is no editor of this project. Give the user name of one."
        raise ApiError(422, "invalid", words, {"reviewer": words})
    return found
