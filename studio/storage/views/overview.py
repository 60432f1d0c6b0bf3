"""How much a project or a team holds, by kind and by run, and what was removed lately."""

from __future__ import annotations

from typing import Any, cast

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, Team, User
from studio.runs.models import Run
from studio.storage.held import KINDS, of_project, of_projects
from studio.storage.models import Removal
from studio.storage.shown import bars, totals

PAGE_SIZE, SHOWN_REMOVALS, MOST_PROJECTS = 50, 20, 200


@require_GET
def project_storage(request: HttpRequest, pk: int) -> HttpResponse:
    """About 25 queries, whatever it holds."""
    project = get_for(request.user, Project.objects.select_related("team"), pk)
    sizes, of_run = of_project(project.pk)
    biggest = sorted(of_run, key=lambda run: (-sum(of_run[run].values()), run))
    page = Paginator(biggest, PAGE_SIZE).get_page(request.GET.get("page"))
    found = Run.objects.defer("spec", "summary", "progress").in_bulk(list(page))
    rows = [{"run": found[pk], "total": sum(of_run[pk].values()), "sizes": of_run[pk]} for pk in page if pk in found]
    context = {
        "project": project,
        **totals(sizes),
        "bars": bars(sizes),
        "page": page,
        "rows": rows,
        "kinds": [KINDS[key] for key in ("checkpoints", "media", "working", "points", "logs")],
        "removals": Removal.objects.filter(project=project).select_related("run", "by")[:SHOWN_REMOVALS],
        "may_edit": can(request.user, project, Role.EDITOR),
    }
    return render(request, "storage/project.html", context)


@require_GET
def team_storage(request: HttpRequest, pk: int) -> HttpResponse:
    team = get_for(request.user, Team.objects, pk)
    projects = list(Project.objects.visible_to(cast(User, request.user)).filter(team=team)[:MOST_PROJECTS])
    sizes = of_projects([project.pk for project in projects])
    rows: list[dict[str, Any]] = [{"project": p, **totals(sizes.get(p.pk, {}))} for p in projects]
    rows.sort(key=lambda row: -row["total_bytes"])
    summed = {key: sum(of_one.get(key, 0) for of_one in sizes.values()) for key in KINDS}
    context = {"team": team, **totals(summed), "bars": bars(summed), "rows": rows}
    return render(request, "storage/team.html", {**context, "is_admin": can(request.user, team, Role.ADMIN)})
