"""The table of a project's runs: the page, what a filter can go on with, and all of it as a file."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, User
from studio.runs import saved
from studio.runs.models import Run
from studio.runs.table import export
from studio.runs.table.cells import read, rows_of
from studio.runs.table.completions import complete
from studio.runs.table.groups import can_group, groups_of
from studio.runs.table.objective import most_common, newest, objective_of
from studio.runs.table.offered import offered, offered_to_groups
from studio.runs.table.select import Table, table_of, whole
from studio.runs.table.shown import heads_of, marked, why_nothing

KINDS = ("filter", "column", "sort", "group")


def project_of(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Project:
    return get_for(request.user, Project.objects.select_related("team"), pk, role)


@require_GET
def project(request: HttpRequest, pk: int) -> HttpResponse:
    """The runs of a project as its address asks: see `runs.table.select`."""
    found = project_of(request, pk)
    user = cast(User, request.user)
    table = table_of(found, user, request.GET)
    for one in [one for one in table.groups if not can_group(one)]:
        table.groups.remove(one)
        table.notices.append(f"Runs are not grouped by {one.title.lower()}.")
    context: dict[str, Any] = {
        "project": found,
        "table": table,
        "filter": marked(table),
        "views": saved.views_for(found, user),
        "charts": bool(request.GET.get("charts")),
        "back_query": urlencode({"back": request.GET.urlencode()}),
        "kept": saved.cleaned(request.GET.urlencode()),
        "may_edit": can(request.user, found, Role.EDITOR) and found.archived_at is None,
    }
    context |= _grouped(table) if table.groups else _paged(table, request.GET.get("page"))
    context["heads"] = heads_of(table, table.columns, context.get("objective"))
    return render(request, "runs/project.html", context)


@require_GET
def completions(request: HttpRequest, pk: int) -> JsonResponse:
    """JSON `{"found": [{"text", "note"}]}` for `?text=` and `?kind=` filter, column, sort or group."""
    found = project_of(request, pk)
    kind = request.GET.get("kind", "filter")
    if kind not in KINDS:
        message = f"kind: got {kind!r}, allowed is one of {', '.join(KINDS)}."
        return JsonResponse({"error": {"code": "bad_request", "message": message}}, status=400)
    some = complete(found, cast(User, request.user), request.GET.get("text", "")[:200], cast(Any, kind))
    return JsonResponse({"found": [{"text": one.text, "note": one.note} for one in some]})


@require_GET
def export_runs(request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """Every run that fits, in the table's order, with its columns; `?format=json` for JSON."""
    found = project_of(request, pk)
    table = table_of(found, cast(User, request.user), request.GET)
    if table.error:
        return HttpResponse(
            f"The filter cannot be read: {table.error.message}\n", status=400, content_type="text/plain"
        )
    as_json = request.GET.get("format") == "json"
    lines = export.as_json(table) if as_json else export.as_csv(table)
    kind = "application/json" if as_json else "text/csv; charset=utf-8"
    response = StreamingHttpResponse(lines, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="runs-{found.slug}.{"json" if as_json else "csv"}"'
    return response


def _paged(table: Table, number: Any) -> dict[str, Any]:
    page: Page[int] = Paginator(cast(Any, _Found(table, number)), table.size).get_page(number)
    pks = list(page.object_list)
    numbers = [n for n in (table.base, *table.pins) if n is not None]
    top = table.everything().filter(number__in=numbers).values_list("number", "pk") if numbers else []
    on_top = dict(top)
    pinned = list(dict.fromkeys(on_top[n] for n in numbers if n in on_top))
    runs = read([*pinned, *(pk for pk in pks if pk not in pinned)])
    rows = rows_of(table, runs, table.user)
    context: dict[str, Any] = {
        "page": page,
        "rows": rows,
        "elsewhere": (elsewhere := _elsewhere(table, {run.number for run in runs})),
        "chosen": len(elsewhere) + sum(run.number in table.ticked for run in runs),
        "objective": most_common(row.best for row in rows),
        "count": page.paginator.count,
        "offered": offered(table, runs),
        "is_empty": not page.paginator.count and not Run.objects.filter(project=table.project).exists(),
    }
    if not page.paginator.count and not context["is_empty"]:
        context["why"] = why_nothing(table)
    return context


def _elsewhere(table: Table, shown: set[int]) -> list[Any]:
    """The ticked runs that this page does not show. A query when there are any."""
    numbers = [number for number in table.ticked if number not in shown]
    if not numbers:
        return []
    rows = table.everything().filter(number__in=numbers).order_by("number")
    return list(rows.values("pk", "number", "name"))


def _grouped(table: Table) -> dict[str, Any]:
    columns = [column for column in table.columns if column.kind != "fact"]
    if not columns:
        best = objective_of(table)
        columns = [best] if best else []  # a group says nothing without a number
    groups, every = groups_of(table, table.matching(), columns)
    return {
        "groups": groups,
        "more_groups": every.groups > len(groups),
        "group_columns": columns,
        "group_heads": heads_of(table, columns, None),
        "count": every.runs,
        "offered": offered_to_groups(table, columns, newest(table)),
    }


class _Found:
    """The primary keys of the runs that fit; the page with that number is read at once, with the count of all."""

    def __init__(self, table: Table, number: Any) -> None:
        self.table = table
        self.start = max((whole(number) or 1) - 1, 0) * table.size
        self.pks, self.total = table.part(self.start, table.size)

    def count(self) -> int:
        return self.total

    def __getitem__(self, part: slice) -> list[int]:
        if part.start == self.start:
            return self.pks
        return self.table.part(part.start, part.stop - part.start)[0]
