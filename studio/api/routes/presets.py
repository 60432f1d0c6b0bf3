"""Presets of a team: values of a run's choices under a name, and which of them new runs begin with in the form."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import StringConstraints

from studio.accounts.access import get_for
from studio.accounts.models import Role, Team, User
from studio.api.auth import user_of
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Given, Id, Name
from studio.runs import presets
from studio.runs.models import Preset

router = Router(tags=["presets"])
Text = Annotated[str, StringConstraints(max_length=presets.MOST_CHARACTERS)]


class PresetGiven(Given):
    team: Id
    name: Name
    values: dict[str, Text] = Field(description='By the names of the form\'s fields: {"trainer.max_epochs": "20"}.')
    is_default: bool = Field(False, description="What new runs of the team begin with; for administrators of it.")


class PresetOut(Schema):
    id: int
    team: int = Field(alias="team_id")
    name: str
    values: dict[str, str]
    is_default: bool


class DefaultGiven(Given):
    is_default: bool = True


def _read(user: User, pk: int, role: Role = Role.VIEWER) -> Preset:
    return get_for(user, Preset.objects.select_related("team"), pk, role)


@router.get("/presets", response=Page[PresetOut])
def list_presets(
    request: HttpRequest, team: int | None = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Of one's teams, or of one of them."""
    user = user_of(request)
    found = Preset.objects.visible_to(user)
    return page_of(found if team is None else found.filter(team=get_for(user, Team.objects, team)), limit, cursor)


@router.post("/presets", response={201: PresetOut})
def create_preset(request: HttpRequest, given: PresetGiven) -> Status[Preset]:
    """One of the same name in the team is replaced."""
    user = user_of(request)
    team = get_for(user, Team.objects, given.team, Role.ADMIN if given.is_default else Role.EDITOR)
    made = presets.save(team=team, user=user, name=given.name, values=given.values, is_default=given.is_default)
    return Status(201, _read(user, made.pk))


@router.get("/presets/{pk}", response=PresetOut)
def read_preset(request: HttpRequest, pk: int) -> Preset:
    return _read(user_of(request), pk)


@router.post("/presets/{pk}/default", response=PresetOut)
def make_preset_default(request: HttpRequest, pk: int, given: DefaultGiven) -> Preset:
    """New runs of the team begin with it, the one before no longer; for administrators of the team."""
    user = user_of(request)
    presets.make_default(_read(user, pk, Role.ADMIN), given.is_default)
    return _read(user, pk)


@router.delete("/presets/{pk}", response={204: None})
def delete_preset(request: HttpRequest, pk: int) -> Status[None]:
    _read(user_of(request), pk, Role.EDITOR).delete()
    return Status(204, None)
