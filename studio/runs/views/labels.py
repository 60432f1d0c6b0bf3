"""What people do in the table of runs: orders to many, tags and notes, stars, saved views. All work without JavaScript."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.runs import bulk, saved, tags
from studio.runs.errors import RunError
from studio.runs.models import Run, TableView
from studio.runs.table.select import MOST_TICKED, Table, table_of
from studio.runs.views.runs import read
from studio.runs.views.table import project_of

COMPARED_FIRST, MOST_COMPARED = 5, 50
TOLD_BEFORE = ("cancel", "trash", "rerun")  # what is shown with its exact number before it happens
WORDS = {
    "tag": "Tag", "untag": "Take the tag off", "archive": "Archive", "unarchive": "Take out of the archive",
    "trash": "Move to the trash", "restore": "Take out of the trash", "cancel": "Cancel", "rerun": "Run again",
}  # fmt: skip


@require_POST
def runs_bulk(request: HttpRequest, pk: int) -> HttpResponse:
    """`action` for the ticked runs, or with `scope=all` for all that match the filter of `back`.

    Orders to all, and those that are hard to take back, are confirmed on a page that says how many runs they are for;
    when that number has changed by then, nothing happens and the page is shown again.
    """
    back, text = request.POST.get("back", ""), request.POST.get("text", "")[:500]
    action = request.POST.get("action", "")
    if action == "enter":  # the key, in the field of the tag or on a tick
        action = "tag" if text.strip() else "compare"
    comparing = action == "compare"
    found = project_of(request, pk, Role.VIEWER if comparing else Role.EDITOR)
    table = table_of(found, cast(User, request.user), QueryDict(back[:6000]))
    for_all = request.POST.get("scope") == "all"
    pks = _chosen(request, found, table, for_all)
    if comparing:
        return _compare(found, table, pks)
    needs = action in bulk.ACTIONS and pks and (for_all or action in TOLD_BEFORE)
    if needs and request.POST.get("expect") != str(len(pks)):
        context = {
            "project": found, "action": action, "verb": WORDS[action], "count": len(pks), "text": text, "back": back,
            "for_all": for_all, "q": table.q, "pks": [] if for_all else pks, "changed": "expect" in request.POST,
            "uses": bulk.uses_of(pks) if action == "trash" else [],
        }  # fmt: skip
        return render(request, "runs/bulk.html", context)
    try:
        done = bulk.carry_out(action, pks, user=cast(User, request.user), text=text)
        messages.success(request, done.words)
    except RunError as error:
        messages.warning(request, str(error))
    return _to_table(found.pk, back)


@require_POST
def run_star(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark a run for oneself; with `off` no longer."""
    run = read(request, pk)
    tags.star(run, cast(User, request.user), on=request.POST.get("star") != "off")
    return _to_table(run.project_id, request.POST.get("back", ""))


@require_http_methods(["GET", "POST"])
def run_labels(request: HttpRequest, pk: int) -> HttpResponse:
    """The tags and the note of a run: a small form, in its row or as a page."""
    run = read(request, pk, Role.EDITOR)
    back = request.POST.get("back", "") or request.GET.get("back", "")
    names, note, wrong = ", ".join(run.tags), run.note, ""
    if request.method == "POST":
        names, note = request.POST.get("tags", "")[:2000], request.POST.get("note", "")[:10000]
        try:
            tags.label(run, tags=tags.parsed(names), note=note)
            return _to_table(run.project_id, back)
        except RunError as error:
            wrong = str(error)
    context = {"run": run, "project": run.project, "back": back, "tags": names, "note": note, "error": wrong}
    whole = "HX-Request" not in request.headers
    return render(request, "runs/labels.html" if whole else "runs/_labels.html", context)


@require_POST
def view_save(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep the table of `back` by `name`; for everybody in the project with `shared`."""
    shared = "shared" in request.POST
    found = project_of(request, pk, Role.EDITOR if shared else Role.VIEWER)
    back = request.POST.get("back", "")
    try:
        view = saved.save(
            project=found, user=cast(User, request.user), name=request.POST.get("name", ""), query=back, shared=shared
        )
        messages.success(request, f"The view “{view.name}” is kept{' for everybody in the project' if shared else ''}.")
    except RunError as error:
        messages.warning(request, str(error))
    return _to_table(found.pk, back)


@require_POST
def view_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """One's own view, or as an editor one of everybody."""
    view = get_for(request.user, TableView.objects.select_related("project"), pk)
    if view.user_id is None:
        get_for(request.user, Project.objects.all(), view.project_id, Role.EDITOR)
    view.delete()
    messages.success(request, f"The view “{view.name}” is deleted.")
    return _to_table(view.project_id, request.POST.get("back", ""))


def _chosen(request: HttpRequest, project: Project, table: Table, for_all: bool) -> list[int]:
    if for_all:
        return list(table.matching().order_by("number").values_list("pk", flat=True))
    ticked = [int(pk) for pk in request.POST.getlist("run")[:MOST_TICKED] if pk.isdecimal() and len(pk) < 18]
    return list(Run.objects.filter(Q(pk__in=ticked), project=project).order_by("number").values_list("pk", flat=True))


def _compare(project: Project, table: Table, pks: list[int]) -> HttpResponse:
    """The ticked ones; without any, the first ones of the table."""
    if not pks:
        pks = list(table.ordered().values_list("pk", flat=True)[:COMPARED_FIRST])
    numbers = Run.objects.filter(pk__in=pks[:MOST_COMPARED]).order_by("number").values_list("number", flat=True)
    query = urlencode({"runs": ",".join(map(str, numbers))}, safe=",")
    return redirect(f"{reverse('run-compare', args=[project.pk])}?{query}")


def _to_table(project_pk: int, back: str) -> HttpResponse:
    """The table as it was: `back` is the query of its address, checked to be nothing else."""
    query = QueryDict(back[:6000])
    place = urlencode({name: query[name] for name in ("page", "ticked") if name in query}, safe=",")
    kept = "&".join(part for part in (saved.cleaned(back), place) if part)
    return redirect(reverse("project", args=[project_pk]) + (f"?{kept}" if kept else ""))
