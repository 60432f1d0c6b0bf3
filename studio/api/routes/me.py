"""Who one is, and the projects one works in."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from studio.accounts import projects
from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, Team, User
from studio.api.auth import token_of, user_of
from studio.api.errors import ApiError
from studio.api.idempotency import once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Me, ProjectGiven, ProjectOut, StorageOut
from studio.runs.models import Run
from studio.storage.held import of_project
from studio.storage.shown import totals

router = Router()


@router.get("/me", response=Me, tags=["account"])
def read_me(request: HttpRequest) -> dict[str, Any]:
    """The account and token that a request is made with."""
    user = user_of(request)
    memberships = user.memberships.select_related("team").order_by("team__name")
    teams = [{"id": m.team_id, "name": m.team.name, "role": m.role} for m in memberships]
    return {"username": user.username, "name": str(user), "teams": teams, "token": token_of(request)}


@router.get("/projects", response=Page[ProjectOut], tags=["projects"])
def list_projects(
    request: HttpRequest, archived: bool = False, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """The projects that one sees, the newest first."""
    found = Project.objects.visible_to(user_of(request)).select_related("team")
    return page_of(found if archived else found.active(), limit, cursor)


def _read(user: User, pk: str) -> Project:
    return get_for(user, Project.objects.select_related("team"), pk)


@router.post("/projects", response={201: ProjectOut, 200: ProjectOut}, tags=["projects"])
@once(_read)
def create_project(request: HttpRequest, given: ProjectGiven) -> Status[Project]:
    """Needs the role of an editor in the team."""
    user = user_of(request)
    if given.team is None:
        teams = list(Team.objects.visible_to(user)[:2])
        if len(teams) != 1:
            raise ApiError(422, "invalid", "Say in which team: `team` is its id, see /me.", {"team": "is needed"})
        given.team = teams[0].pk
    team = get_for(user, Team.objects, given.team, Role.EDITOR)
    made = projects.create_project(
        team=team, name=given.name, description=given.description, is_private=given.private, by=user
    )
    return Status(201, made)


@router.get("/projects/{pk}", response=ProjectOut, tags=["projects"])
def read_project(request: HttpRequest, pk: int) -> Project:
    return _read(user_of(request), str(pk))


@router.get("/projects/{pk}/storage", response=StorageOut, tags=["projects"])
def read_storage(request: HttpRequest, pk: int, limit: Limit = 50) -> dict[str, Any]:
    """Bytes of a project by kind, and of its biggest runs."""
    project = _read(user_of(request), str(pk))
    sizes, of_run = of_project(pk)
    biggest = sorted(of_run, key=lambda run: (-sum(of_run[run].values()), run))[:limit]
    numbers = dict(Run.objects.filter(project=project, pk__in=biggest).values_list("pk", "number"))
    runs = [{"id": run, "number": numbers[run], "kinds": dict(of_run[run])} for run in biggest if run in numbers]
    return {**totals(sizes), "kinds": dict(sizes), "runs": runs}
