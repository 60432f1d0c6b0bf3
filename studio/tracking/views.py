"""The charts and logs of a run: pages, and the data that they draw."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, cast

from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.accounts.models import User
from studio.runs.models import Run
from studio.tracking.drawing import shown
from studio.tracking.logs import read_log, whole_log
from studio.tracking.marks import marks_of
from studio.tracking.query import AXES, MAX_WIDTH, Axis, abandoned, series
from studio.tracking.results import results_of, why_none
from studio.tracking.stored import visible_blocks
from studio.tracking.system import charts_of

MOST_LOG, CSV_BYTES = 1 << 20, 1 << 18


def _run(request: HttpRequest, pk: int) -> Run:
    return get_for(cast(User, request.user), Run.objects.for_list(), pk)


@require_GET
def run_charts(request: HttpRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    tails = run.attempts.filter(valid_to_step__isnull=False).exists()
    context = {"run": run, "project": run.project, "tab": "charts", "has_tails": tails}
    return render(request, "tracking/charts.html", {**context, "show_tails": bool(request.GET.get("abandoned"))})


@require_GET
def run_results(request: HttpRequest, pk: int) -> HttpResponse:
    run = _run(request, pk)
    result = results_of(run)
    context = {"run": run, "project": run.project, "tab": "results", "result": result, "why": why_none(run, result)}
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
    context = _of_attempt(request, run)
    return render(request, "tracking/logs.html", {**context, "tab": "logs", "log": read_log(run.pk, context["fence"])})


def _of_attempt(request: HttpRequest, run: Run) -> dict[str, Any]:
    """What pages of one attempt show: that of `?attempt=`, or the newest."""
    attempts = list(run.attempts.order_by("-fence").values("fence", "log_bytes", "outcome"))
    fence = _whole(request.GET.get("attempt"), 0) or (attempts[0]["fence"] if attempts else 0)
    return {"run": run, "project": run.project, "attempts": attempts, "fence": fence}


@require_GET
def run_series(request: HttpRequest, pk: int) -> HttpResponse:
    """JSON for charts: see `tracking.query.series`; `?metrics=a&metrics=b&x=step&from=&to=&width=1500`.

    With `&abandoned=1` also what was done again after a resume: see `tracking.query.abandoned`. Along steps also `marks`:
    see `tracking.marks.marks_of`.
    """
    run = _run(request, pk)
    x = request.GET.get("x", "step")
    if x not in AXES:
        return JsonResponse(
            {"error": {"code": "bad_request", "message": f"x: got {x!r}, allowed is one of {', '.join(AXES)}."}},
            status=400,
        )
    # An attempt that begins to train changes what is shown, before its first point.
    ready = run.attempts.filter(ready_at__isnull=False).aggregate(newest=Max("fence"))["newest"] or 0
    marks = marks_of(run.pk) if x == "step" else []
    etag = f'W/"{run.pk}-{run.last_seq}-{ready}-{"-".join(str(mark["step"]) for mark in marks)}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    try:
        lo, hi = _number(request.GET.get("from")), _number(request.GET.get("to"))
    except ValueError:
        message = "from and to are numbers on the x axis."
        return JsonResponse({"error": {"code": "bad_request", "message": message}}, status=400)
    names = request.GET.getlist("metrics") or None
    width = _whole(request.GET.get("width"), 1500)
    found = {**series([run.pk], names, cast(Axis, x), lo, hi, width)["runs"][0], "marks": marks}
    if request.GET.get("abandoned"):
        found["abandoned"] = abandoned(run.pk, names, cast(Axis, x), max(16, min(width, MAX_WIDTH)))
    body = json.dumps(found, separators=(",", ":"), allow_nan=False)
    return HttpResponse(body, content_type="application/json", headers={"ETag": etag, "Cache-Control": "no-cache"})


@require_GET
def run_log_text(request: HttpRequest, pk: int) -> HttpResponseBase:
    """JSON `{"text", "offset", "end", "size", "fence"}`, or the whole log as a file with `?download=1`."""
    run = _run(request, pk)
    fence = _whole(request.GET.get("attempt"), 0) or run.fence
    if request.GET.get("download"):
        response = StreamingHttpResponse(whole_log(run.pk, fence), content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="run-{run.number}-attempt-{fence}.log"'
        response["X-Content-Type-Options"] = "nosniff"
        return response
    offset = request.GET.get("offset")
    start = _whole(offset, 0) if offset is not None else None
    found = read_log(run.pk, fence, start, min(_whole(request.GET.get("limit"), 256_000), MOST_LOG))
    return JsonResponse(
        {"text": found.text, "offset": found.offset, "end": found.end, "size": found.size, "fence": found.fence}
    )


@require_GET
def run_metrics_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Every visible point as CSV: step, epoch, time, metric, value."""
    run = _run(request, pk)
    response = StreamingHttpResponse(_csv_lines(run.pk), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.number}-metrics.csv"'
    return response


def _csv_lines(run_pk: int) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["step", "epoch", "time", "metric", "value"])
    for block in visible_blocks(run_pk):
        for i, step in enumerate(block.steps):
            for name, column in zip(block.names, block.values, strict=True):
                writer.writerow([int(step), block.epochs[i], block.times[i], _cell(name), repr(column[i])])
            if buffer.tell() > CSV_BYTES:
                yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    """What it has, which it has no longer."""
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(name: str) -> str:
    """A name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name


def _number(text: str | None) -> float | None:
    return None if text in (None, "") else float(text)


def _whole(text: Any, default: int) -> int:
    try:
        return max(0, int(text))
    except (TypeError, ValueError):
        return default
