"""The charts of runs: the page, the series that it draws, and how each person likes it arranged."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods
from pydantic import ValidationError

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, User
from studio.runs.models import Run
from studio.tracking import layouts
from studio.tracking.chart_data import answer_many, answer_one, etag_of, parse_runs, parse_wanted
from studio.tracking.marks import marks_of
from studio.tracking.samples import samples_a_step


@require_GET
def run_charts(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_for(cast(User, request.user), Run.objects.for_list(), pk)
    context: dict[str, Any] = {"run": run, "project": run.project, "tab": "charts"}
    context["has_tails"] = run.attempts.filter(valid_to_step__isnull=False).exists()
    context["show_tails"] = bool(request.GET.get("abandoned"))
    context["samples_a_step"] = samples_a_step(run)
    context["layout"] = layouts.layout_for(run.project, cast(User, request.user))
    context["may_share"] = can(request.user, run.project, Role.EDITOR)
    return render(request, "tracking/charts.html", context)


@require_GET
def run_series(request: HttpRequest, pk: int) -> HttpResponse:
    """JSON for charts: see `tracking.query.series`; `?metrics=a&metrics=b&x=step&from=&to=&width=1500`.

    With `&abandoned=1` also what was done again after a resume: see `tracking.query.abandoned`. `marks` are along the
    axis: see `tracking.marks`. With `&few=1` and no metric named also `names`, and of a run with many no series.
    """
    run = get_for(cast(User, request.user), Run.objects.select_related("project").defer("summary"), pk)
    try:
        wanted = parse_wanted(request.GET)
    except ValueError as error:
        return _refused(error)
    marks = marks_of(run.pk)
    etag = etag_of([run.pk], request.META.get("QUERY_STRING", ""), marks)
    return _answered(request, etag, lambda: answer_one(run.pk, wanted, marks))


@require_GET
def many_series(request: HttpRequest) -> HttpResponse:
    """JSON `{"runs": [...]}` as of `run_series`, of `?run=1&run=2&metrics=a…`; 404 when one of them cannot be seen."""
    try:
        wanted = parse_wanted(request.GET)
        runs = parse_runs(request.GET, wanted)
    except ValueError as error:
        return _refused(error)
    seen = set(Run.objects.all().visible_to(cast(User, request.user)).filter(pk__in=runs).values_list("pk", flat=True))
    if len(seen) < len(runs):
        message = "One of these runs does not exist, or you may not see it."
        return JsonResponse({"error": {"code": "not_found", "message": message}}, status=404)
    etag = etag_of(runs, request.META.get("QUERY_STRING", ""))
    return _answered(request, etag, lambda: answer_many(runs, wanted))


@require_http_methods(["GET", "PUT", "DELETE"])
def chart_layout(request: HttpRequest, pk: int) -> JsonResponse:
    """How this person's charts of a project are arranged: read it, keep another one, or go back to the project's."""
    user = cast(User, request.user)
    project = get_for(user, Project.objects.all(), pk)
    try:
        if request.method == "PUT":
            layouts.save_layout(project, user, layouts.Layout.model_validate_json(request.body))
        elif request.method == "DELETE":
            layouts.reset_layout(project, user)
    except ValidationError as error:
        return _refused(layouts.words_of(error))
    return JsonResponse(layouts.layout_for(project, user))


@require_http_methods(["PUT", "DELETE"])
def shared_chart_layout(request: HttpRequest, pk: int) -> JsonResponse:
    """What members of the project see who arranged nothing themselves."""
    project = get_for(cast(User, request.user), Project.objects.all(), pk, Role.EDITOR)
    try:
        if request.method == "PUT":
            layouts.save_layout(project, None, layouts.Layout.model_validate_json(request.body))
        else:
            layouts.reset_layout(project, None)
    except ValidationError as error:
        return _refused(layouts.words_of(error))
    return JsonResponse(layouts.layout_for(project, None))


def _answered(request: HttpRequest, etag: str, make: Any) -> HttpResponse:
    """The JSON of `make()`, or 304 when the page has it already."""
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(make(), content_type="application/json", headers=headers)


def _refused(error: ValueError | str) -> JsonResponse:
    return JsonResponse({"error": {"code": "bad_request", "message": str(error)}}, status=400)
