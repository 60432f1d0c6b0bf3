"""The queue in order, with the reason why each run waits; orders to waiting runs."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.models import Role, User
from studio.core.numbers import whole
from studio.runs import reorder
from studio.runs.errors import RunError
from studio.runs.forms_queue import QueueForm
from studio.runs.line import Line
from studio.runs.models import HELD, Pool, Run, State
from studio.runs.views.runs import read

MOST = 100


@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Runs that wait or run, by pool; `?page=` has the next MOST. Those of other teams are counted, not shown."""
    user = cast(User, request.user)
    places = Line().places()
    mine = Run.objects.visible_to(user).filter(state=State.QUEUED)
    page = max(whole(request.GET.get("page"), 5) or 1, 1)
    waiting = list(mine.for_list().in_order()[(page - 1) * MOST : page * MOST + 1])
    editable = set(
        reorder.editable(Run.objects.filter(pk__in=[r.pk for r in waiting]), user).values_list("pk", flat=True)
    )
    running = list(Run.objects.held().for_list().select_related("worker", "project").order_by("started_at")[: 5 * MOST])
    visible = set(Run.objects.visible_to(user).filter(state__in=HELD).values_list("pk", flat=True)[: 5 * MOST])
    context = {
        "rows": _rows(waiting[:MOST], places, editable),
        "page": page,
        "has_more": len(waiting) > MOST,
        "others_waiting": len(places) - mine.count() if len(places) < 2000 else None,
        "running": [run for run in running if run.pk in visible][:MOST],
        "others_running": sum(run.pk not in visible for run in running),
        "paused": list(Pool.objects.filter(paused_at__isnull=False).select_related("paused_by")[:MOST]),
        "may_pause": user.is_superuser,
        "now": timezone.now(),
    }
    return render(request, "runs/queue.html", context)


def _rows(waiting: list[Run], places: dict[int, Any], editable: set[int]) -> list[dict[str, Any]]:
    """Each run with its place; and, among those that one may move, whether there is one of its kind before or after."""
    rows: list[dict[str, Any]] = []
    last: dict[tuple[str, int], dict[str, Any]] = {}
    for run in waiting:
        place = places.get(run.pk)
        row: dict[str, Any] = {"run": run, "place": place, "may_move": run.pk in editable, "up": False, "down": False}
        rows.append(row)
        if not row["may_move"]:
            continue
        kind = (run.pool, run.priority)
        if before := last.get(kind):
            row["up"] = before["down"] = True
        last[kind] = row
    return rows


@require_POST
def run_move(request: HttpRequest, pk: int) -> HttpResponse:
    """`where` is first, up, down or last; or `before` names the run to stand before."""
    found = read(request, pk, Role.EDITOR)
    given, before = request.POST.get("where") or None, request.POST.get("before", "")
    try:
        if before and not (before.isascii() and before.isdigit() and len(before) < 19):
            raise RunError(f"before: got {before[:40]!r}, allowed is the key of a run.")
        reorder.move(run=found, user=cast(User, request.user), where=given, before=int(before) if before else None)  # type: ignore[arg-type]
    except RunError as error:
        messages.error(request, str(error))
    return redirect("queue")


@require_http_methods(["GET", "POST"])
def run_queueing(request: HttpRequest, pk: int) -> HttpResponse:
    """When and where a waiting run starts."""
    found = read(request, pk, Role.EDITOR)
    form = QueueForm(request.POST if request.method == "POST" else None, run=found)
    if request.method == "POST" and form.is_valid():
        try:
            reorder.change(run=found, user=cast(User, request.user), given=form.changed(), free="free" in request.POST)
        except RunError as error:
            form.refuse(error.errors)
        else:
            messages.success(request, f"{found} was changed.")
            return redirect("queue")
    status = 422 if form.is_bound else 200
    context = {"run": found, "form": form, "waits": found.state == State.QUEUED}
    return render(request, "runs/queueing.html", context, status=status)
