"""What the pages of models and of datasets share: newest versions for lists, the project in view, the missing right."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from studio.accounts.access import can, get_for, may_run_code
from studio.accounts.models import Membership, Project, Role, User
from studio.core.numbers import whole
from studio.registry.models import Dataset, DatasetVersion, Model, ModelVersion, VersionState

PAGE_SIZE = 50
SHOWN_RUNS = 20
E = TypeVar("E", Model, Dataset)


def with_newest(entries: QuerySet[E], versions: type[ModelVersion] | type[DatasetVersion]) -> QuerySet[E]:
    """Each entry with `newest_pk` and `version_count`."""
    link = "model" if versions is ModelVersion else "dataset"
    newest = versions.objects.filter(**{link: OuterRef("pk")}).order_by("-number").values("pk")[:1]
    return entries.annotate(newest_pk=Subquery(newest), version_count=Count("versions")).order_by("name", "pk")


def attach_newest(entries: list[Any], versions: type[ModelVersion] | type[DatasetVersion]) -> None:
    """Set `newest` of each entry of `with_newest`; one query, without code and statistics."""
    light = versions.objects.defer("code", "params", *(["schema", "preview"] if versions is DatasetVersion else []))
    found = light.in_bulk([e.newest_pk for e in entries if e.newest_pk])
    for entry in entries:
        entry.newest = found.get(entry.newest_pk)


def project_in_view(request: HttpRequest, owner: Project | None) -> Project | None:
    """The project that a page is about: the owner's, or for something built in the one in `?project=`."""
    if owner is not None:
        return owner
    given = whole(request.GET.get("project"))
    return None if given is None else get_for(request.user, Project.objects.select_related("team"), given)


def start_projects(request: HttpRequest, project: Project | None) -> list[Project]:
    """Where a button may start a run: the project in view, or those in which the user may make runs."""
    if project is not None:
        return [project] if can(request.user, project, Role.EDITOR) else []
    user = cast(User, request.user)
    return list(Project.objects.editable_by(user).active()[:10])


def needs_code_right(request: HttpRequest, project: Project) -> HttpResponse | None:
    """The page that says who can grant the right to run code, or None for somebody who has it."""
    if may_run_code(request.user, project):
        return None
    admins = Membership.objects.filter(team_id=project.team_id, role=Role.ADMIN).select_related("user")[:10]
    context = {"project": project, "admins": [m.user for m in admins]}
    return render(request, "registry/code_right.html", context, status=403)


def complaint(version: ModelVersion | DatasetVersion) -> dict[str, Any] | None:
    """The line of a rejected version's code that its inspection complained about, and what it said."""
    line = version.info.get("line")
    if version.state != VersionState.REJECTED or not isinstance(line, int):
        return None
    return {"line": line, "reason": f"{version.reason} {version.info.get('hint') or ''}".strip()[:500]}


def may_edit(request: HttpRequest, owner: Project | None) -> bool:
    return owner is not None and can(request.user, owner, Role.EDITOR)
