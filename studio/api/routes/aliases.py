"""Aliases of registered models: moved, rolled back, protected, taken away, and the moves that wait for a second person."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Status

from studio.accounts.access import get_for
from studio.accounts.models import Role, User
from studio.api.auth import user_of
from studio.api.idempotency import once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.routes.registered import RegisteredModelOut
from studio.api.schemas_aliases import AliasGiven, MoveGiven, MoveOut, ProtectGiven, Why, reviewer_of
from studio.runs import promote
from studio.runs.registered_models import AliasMove, RegisteredModel, RegisteredVersion

router = Router(tags=["registered models"])
FULL = ("before", "to", "by", "reviewer", "decided_by", "model__project")


def _read(user: User, pk: str | int, role: Role = Role.VIEWER) -> AliasMove:
    return get_for(user, AliasMove.objects.select_related(*FULL), pk, role)


def _model(request: HttpRequest, pk: int, role: Role) -> RegisteredModel:
    return get_for(user_of(request), RegisteredModel.objects.select_related("project"), pk, role)


@router.post("/registered-versions/{pk}/aliases", response=MoveOut)
def move_alias(request: HttpRequest, pk: int, given: MoveGiven) -> AliasMove:
    """From now on the alias names this version. With a reviewer, and where it is protected, `stage` is waiting until
    somebody else has approved."""
    user = user_of(request)
    version = get_for(user, RegisteredVersion.objects.select_related("model__project"), pk, Role.EDITOR)
    reviewer = reviewer_of(version.model.project, given.reviewer)
    move = promote.move_alias(version=version, user=user, alias=given.alias, why=given.why, reviewer=reviewer)
    return _read(user, move.pk)


@router.post("/registered-models/{pk}/roll-back", response={200: MoveOut})
@once(_read)
def roll_back_alias(request: HttpRequest, pk: int, given: AliasGiven) -> Status[AliasMove]:
    """The alias names the version again that it named before; once more, the one before that."""
    user, model = user_of(request), _model(request, pk, Role.EDITOR)
    return Status(200, _read(user, promote.roll_back(model=model, user=user, **given.dict()).pk))


@router.delete("/registered-models/{pk}/aliases/{alias}", response={200: MoveOut})
@once(_read)
def remove_alias(request: HttpRequest, pk: int, alias: str, why: Why = "") -> Status[AliasMove]:
    """The alias names nothing any more; refused while it is protected."""
    user, model = user_of(request), _model(request, pk, Role.EDITOR)
    return Status(200, _read(user, promote.remove_alias(model=model, user=user, alias=alias, why=why).pk))


@router.post("/registered-models/{pk}/protect", response=RegisteredModelOut)
def protect_alias(request: HttpRequest, pk: int, given: ProtectGiven) -> RegisteredModel:
    """Whether moving an alias needs a second person; for administrators of the team."""
    model = _model(request, pk, Role.ADMIN)
    promote.protect(model=model, user=user_of(request), **given.dict())
    return get_for(user_of(request), RegisteredModel.objects.prefetch_related("aliases__version"), pk)


@router.get("/registered-models/{pk}/moves", response=Page[MoveOut])
def list_alias_moves(
    request: HttpRequest,
    pk: int,
    stage: Literal["waiting", "done", "declined"] | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The history of its aliases, and what waits for approval."""
    moves = _model(request, pk, Role.VIEWER).moves.select_related(*FULL)
    return page_of(moves if stage is None else moves.filter(stage=stage), limit, cursor)


@router.post("/alias-moves/{pk}/approve", response={200: MoveOut})
@once(_read)
def approve_alias_move(request: HttpRequest, pk: int) -> Status[AliasMove]:
    """Carry out a move that waits: as its reviewer or an administrator, or where none was named as anybody but who asked."""
    return _decided(request, pk, approve=True)


@router.post("/alias-moves/{pk}/decline", response={200: MoveOut})
@once(_read)
def decline_alias_move(request: HttpRequest, pk: int) -> Status[AliasMove]:
    """Decline a move that waits, or take back one's own."""
    return _decided(request, pk, approve=False)


def _decided(request: HttpRequest, pk: int, *, approve: bool) -> Status[AliasMove]:
    user = user_of(request)
    promote.decide(move=_read(user, pk, Role.EDITOR), user=user, approve=approve)
    return Status(200, _read(user, pk))
