"""The queue in order, with the reason why each run waits; and the workers, with the command that adds one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from studio.accounts.models import User
from studio.runs.facts import waiting_words
from studio.runs.models import HELD, Run, State, Worker
from studio.runs.register import FRESH_S, online

MOST = 100


@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Runs that wait or run. Those of other teams are counted, not shown."""
    user = cast(User, request.user)
    mine = set(Run.objects.visible_to(user).active().values_list("pk", flat=True)[: 10 * MOST])
    waiting = Run.objects.filter(state=State.QUEUED).for_list().order_by("-priority", "queued_at", "pk")[: 10 * MOST]
    running = Run.objects.filter(state__in=HELD).for_list().select_related("worker").order_by("started_at")
    context = {
        "waiting": _in_order(list(waiting), mine),
        "running": [run for run in running[:MOST] if run.pk in mine],
        "others_running": sum(run.pk not in mine for run in running[:MOST]),
    }
    return render(request, "runs/queue.html", context)


def _in_order(runs: list[Run], mine: set[int]) -> list[dict[str, Any]]:
    """Each visible run with its place in its pool and why it waits. Two queries."""
    workers: dict[str, int] = {}
    busy = set(Run.objects.held().values_list("worker_id", flat=True))
    free: dict[str, int] = {}
    for worker in online():
        if "runs" in worker.queues:
            workers[worker.pool] = workers.get(worker.pool, 0) + 1
            free[worker.pool] = free.get(worker.pool, 0) + (worker.pk not in busy)
    places: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for run in runs:
        place = places[run.pool] = places.get(run.pool, 0) + 1
        if run.pk in mine and len(rows) < MOST:
            counts = {"ahead": place - 1, "workers": workers.get(run.pool, 0), "free": free.get(run.pool, 0)}
            rows.append({"run": run, "place": place, "why": waiting_words(run, **counts)})
    return rows


@require_GET
def worker_list(request: HttpRequest) -> HttpResponse:
    """All workers that were heard of within a day; a run that one may not see is only said to be there."""
    user = cast(User, request.user)
    since = timezone.now() - timedelta(days=1)
    workers = list(Worker.objects.filter(heartbeat_at__gt=since).order_by("stopped_at", "name")[:MOST])
    held = Run.objects.held().filter(worker__in=workers).for_list()
    visible = set(held.visible_to(user).values_list("pk", flat=True))
    by_worker = {run.worker_id: run for run in held}
    fresh = {worker.pk for worker in online()}
    rows: list[dict[str, Any]] = [
        {
            "worker": worker,
            "is_online": worker.pk in fresh,
            "is_busy": worker.pk in by_worker,
            "run": run if (run := by_worker.get(worker.pk)) and run.pk in visible else None,
            "does_runs": "runs" in worker.queues,
        }
        for worker in workers
    ]
    rows.sort(key=lambda row: (not row["is_online"], not row["does_runs"], row["worker"].name))
    context = {"rows": rows, "fresh_s": FRESH_S, "data_dir": settings.DATA_DIR if user.is_superuser else ""}
    return render(request, "runs/workers.html", context)
