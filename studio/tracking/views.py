"""The results, system figures and logs of a run; its charts are in chart_views."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.accounts.models import User
from studio.core.download import Parts
from studio.runs.models import Run
from studio.tracking.drawing import shown
from studio.tracking.log_form import LogSearch
from studio.tracking.log_search import LEVELS, search_log
from studio.tracking.logs import read_around, read_log, whole_log
from studio.tracking.results import results_of, why_none
from studio.tracking.system import charts_of

MOST_LOG = 1 << 20


def _run(request: HttpRequest, pk: int) -> Run:
    return get_for(cast(User, request.user), Run.objects.for_list(), pk)


@require_GET
def run_results(request: HttpRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    result = results_of(run)
    context = {"run": run, "project": run.project, "tab": "results", "result": result, "why": why_none(run, result)}
    if result is not None and result.checkpoint:  # it may be gone by now
        context["usable"] = run.checkpoints.usable().filter(fence=result.fence, name=result.checkpoint).first()
    return render(request, "tracking/results.html", {**context, **shown(result)})


@require_GET
def run_system(request: HttpRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    return render(request, "tracking/system.html", {**_of_attempt(request, run), "tab": "system"})


@require_GET
def run_system_charts(request: HttpRequest, pk: int) -> JsonResponse:
    """JSON `{"charts": [...]}`: see `tracking.system.charts_of`; `?attempt=`, the newest without it."""
    run = _run(request, pk)
    fence = _whole(request.GET.get("attempt"), 0) or run.fence
    return JsonResponse({"charts": charts_of(run.pk, fence), "settled": run.is_settled})


@require_GET
def run_logs(request: HttpRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    context = {**_of_attempt(request, run), "tab": "logs", "levels": LEVELS}
    form = LogSearch(request.GET)
    valid = form.is_valid()
    at = form.cleaned_data.get("at")
    if valid and (query := form.query()):
        context["query"] = query
        if at is None:  # else the log around one of the lines is shown, and a long one is not searched again
            context["found"] = search_log(run.pk, context["fence"], query, form.cleaned_data["before"])
    log = read_log(run.pk, context["fence"]) if at is None else read_around(run.pk, context["fence"], at)
    return render(request, "tracking/logs.html", {**context, "form": form, "at": at, "log": log})


def _of_attempt(request: HttpRequest, run: Run) -> dict[str, Any]:
    """What pages of one attempt show: that of `?attempt=`, or the newest."""
    attempts = list(run.attempts.order_by("-fence").values("fence", "log_bytes", "outcome"))
    fence = _whole(request.GET.get("attempt"), 0) or (attempts[0]["fence"] if attempts else 0)
    return {"run": run, "project": run.project, "attempts": attempts, "fence": fence}


@require_GET
def run_log_text(request: HttpRequest, pk: int) -> HttpResponseBase:
    """JSON `{"text", "offset", "end", "size", "fence"}`, or the whole log as a file with `?download=1`."""
    run = _run(request, pk)
    fence = _whole(request.GET.get("attempt"), 0) or run.fence
    if request.GET.get("download"):
        response = StreamingHttpResponse(Parts(whole_log(run.pk, fence)), content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="run-{run.number}-attempt-{fence}.log"'
        response["X-Content-Type-Options"] = "nosniff"
        return response
    offset = request.GET.get("offset")
    start = _whole(offset, 0) if offset is not None else None
    found = read_log(run.pk, fence, start, min(_whole(request.GET.get("limit"), 256_000), MOST_LOG))
    return JsonResponse(
        {"text": found.text, "offset": found.offset, "end": found.end, "size": found.size, "fence": found.fence}
    )


def _whole(text: Any, default: int) -> int:
    try:
        return max(0, int(text))
    except (TypeError, ValueError):
        return default
