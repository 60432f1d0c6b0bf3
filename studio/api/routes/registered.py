"""Registered models: checkpoints under names and numbers. What aliases do is in `aliases`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import Prefetch
from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import StringConstraints

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role
from studio.api.auth import user_of
from studio.api.errors import ApiError
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Given, Note
from studio.api.schemas_aliases import Reviewer, Why, Word, reviewer_of
from studio.runs import promote
from studio.runs.checkpoints import sha256_of
from studio.runs.models import Checkpoint
from studio.runs.registered_models import AliasMove, RegisteredModel, RegisteredVersion

router = Router(tags=["registered models"])
FULL = ("model__project", "checkpoint__run", "created_by")


class PromoteGiven(Given):
    name: Word
    alias: Annotated[str, StringConstraints(max_length=40)] = ""
    note: Note = ""
    why: Why = ""
    reviewer: Reviewer = ""


class AliasOut(Schema):
    name: str
    version: int = Field(alias="version.number")
    is_protected: bool


class RegisteredModelOut(Schema):
    id: int
    name: str
    description: str
    project: int = Field(alias="project_id")
    aliases: list[AliasOut]
    created_at: datetime

    @staticmethod
    def resolve_aliases(obj: RegisteredModel) -> list[Any]:
        return list(obj.aliases.all())


class RegisteredVersionOut(Schema):
    id: int
    model: int = Field(alias="model_id")
    name: str = Field(alias="model.name")
    number: int
    aliases: list[str]
    asked: list[str] = Field(description="Aliases that will name it once their move has been approved.")
    note: str
    run: int = Field(alias="checkpoint.run_id")
    checkpoint: int = Field(alias="checkpoint_id")
    step: int = Field(alias="checkpoint.step")
    metrics: dict[str, Any] = Field(alias="checkpoint.metrics")
    size_bytes: int = Field(alias="checkpoint.size_bytes")
    sha256: str
    dataset_version: int | None = Field(alias="checkpoint.run.dataset_version_id")
    created_by: str | None
    created_at: datetime

    @staticmethod
    def resolve_aliases(obj: RegisteredVersion) -> list[str]:
        return [alias.name for alias in obj.aliases.all()]

    @staticmethod
    def resolve_asked(obj: RegisteredVersion) -> list[str]:
        return [move.alias for move in obj.moves_here.all() if move.stage == AliasMove.Stage.WAITING]

    @staticmethod
    def resolve_sha256(obj: RegisteredVersion) -> str:
        return sha256_of(obj.checkpoint)

    @staticmethod
    def resolve_created_by(obj: RegisteredVersion) -> str | None:
        return str(obj.created_by) if obj.created_by else None


def _full(versions: Any) -> Any:
    """With all that their schema shows, of moves only those that wait."""
    waits = Prefetch("moves_here", AliasMove.objects.waiting())
    return versions.select_related(*FULL).prefetch_related("aliases", waits)


@router.get("/registered-models", response=Page[RegisteredModelOut])
def list_registered_models(
    request: HttpRequest, project: int | None = None, name: str | None = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    user = user_of(request)
    models = RegisteredModel.objects.visible_to(user).prefetch_related("aliases__version")
    if project is not None:
        models = models.filter(project=get_for(user, Project.objects, project))
    if name is not None:
        models = models.filter(name=name)
    return page_of(models, limit, cursor)


@router.get("/registered-models/{pk}", response=RegisteredModelOut)
def read_registered_model(request: HttpRequest, pk: int) -> RegisteredModel:
    return get_for(user_of(request), RegisteredModel.objects.prefetch_related("aliases__version"), pk)


@router.get("/registered-models/{pk}/versions", response=Page[RegisteredVersionOut])
def list_registered_versions(request: HttpRequest, pk: int, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    model = get_for(user_of(request), RegisteredModel.objects, pk)
    return page_of(_full(model.versions.living()), limit, cursor)


@router.get("/registered-versions", response=RegisteredVersionOut)
def find_registered_version(
    request: HttpRequest, project: int, reference: Annotated[str, Field(max_length=160)]
) -> RegisteredVersion:
    """By `name@alias`, `name@v3`, or `name` for the newest. Its file is /checkpoints/{checkpoint}/download."""
    found = promote.resolve(get_for(user_of(request), Project.objects, project), reference)
    if found is None:
        raise ApiError(404, "not_found", f"There is no version {reference!r} in this project.")
    return found


@router.get("/registered-versions/{pk}", response=RegisteredVersionOut)
def read_registered_version(request: HttpRequest, pk: int) -> RegisteredVersion:
    return get_for(user_of(request), _full(RegisteredVersion.objects), pk)


@router.post("/checkpoints/{pk}/promote", response=RegisteredVersionOut)
def promote_checkpoint(request: HttpRequest, pk: int, given: PromoteGiven) -> RegisteredVersion:
    """A version of a registered model; sent again it gives the same one. It is exempt from retention from then on.

    An alias that is protected, or has a reviewer, is `asked` until somebody else has approved its move.
    """
    user = user_of(request)
    checkpoint = get_for(user, Checkpoint.objects.select_related("run__project"), pk, Role.EDITOR)
    reviewer = reviewer_of(checkpoint.run.project, given.reviewer)
    made = promote.promote(checkpoint=checkpoint, user=user, reviewer=reviewer, **given.dict(exclude={"reviewer"}))
    return get_for(user, _full(RegisteredVersion.objects), made.pk)


@router.delete("/registered-versions/{pk}", response={204: None})
def delete_registered_version(request: HttpRequest, pk: int) -> Status[None]:
    """Its number is not used again, and its checkpoint may be retired. Refused while an alias names or awaits it."""
    user = user_of(request)
    version = get_for(user, RegisteredVersion.objects.living().select_related("model__project"), pk, Role.EDITOR)
    promote.delete_version(version=version, user=user)
    return Status(204, None)
