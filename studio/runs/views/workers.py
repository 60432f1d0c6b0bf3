"""The workers and their pools, what each does, and the command that adds one; orders of administrators to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.models import Team, User
from studio.runs import add_worker, pools
from studio.runs.claim import usage
from studio.runs.errors import RunError
from studio.runs.forms_queue import LimitForm
from studio.runs.models import GpuClaim, Pool, Run, Worker
from studio.runs.register import FRESH_S, online

MOST = 100


@require_GET
def worker_list(request: HttpRequest) -> HttpResponse:
    """All workers that were heard of within a day; a run that one may not see is only said to be there."""
    user = cast(User, request.user)
    since = timezone.now() - timedelta(days=1)
    workers = list(Worker.objects.filter(heartbeat_at__gt=since).order_by("stopped_at", "name")[:MOST])
    held = Run.objects.held().filter(worker__in=workers).for_list()
    visible = set(held.visible_to(user).values_list("pk", flat=True))
    by_worker = {run.worker_id: run for run in held}
    claims = list(GpuClaim.objects.values_list("host", "device", "run_id"))
    taken = {(host, device): run for host, device, run in claims}
    fresh = {worker.pk for worker in online()}
    rows: list[dict[str, Any]] = [
        {
            "worker": worker,
            "is_online": worker.pk in fresh,
            "is_busy": worker.pk in by_worker,
            "run": run if (run := by_worker.get(worker.pk)) and run.pk in visible else None,
            "does_runs": "runs" in worker.queues,
            "gpus": [_gpu(worker, device, taken) for device in worker.devices],
        }
        for worker in workers
    ]
    rows.sort(key=lambda row: (not row["is_online"], not row["does_runs"], row["worker"].name))
    context = {"rows": rows, "fresh_s": FRESH_S, "may_order": user.is_superuser, "pools": _pools(rows)}
    context |= {"commands": add_worker.commands(), "reach": add_worker.reach(), "is_admin": user.is_superuser}
    context["object_store"] = settings.OBJECT_STORE
    return render(request, "runs/workers.html", context)


def _gpu(worker: Worker, device: str, taken: dict[tuple[str, str], int]) -> dict[str, Any]:
    """One GPU: whether a run has it, and what its driver told at the last heartbeat."""
    names = {str(gpu.get("index")): gpu.get("name", "") for gpu in worker.info.get("gpus", [])}
    told = worker.usage.get("gpus", {}).get(device, {})
    return {"id": device, "name": names.get(device, ""), "taken": (worker.host, device) in taken, **told}


def _pools(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each pool with its slots: those of workers that are online, and those that are known because it is paused."""
    found: dict[str, dict[str, Any]] = {}
    for pool in Pool.objects.select_related("paused_by")[:MOST]:
        found[pool.name] = {"name": pool.name, "pool": pool, "workers": 0, "free": 0, "gpus": 0, "free_gpus": 0}
    seen: set[tuple[str, str, str]] = set()
    for row in rows:
        worker = row["worker"]
        if not row["does_runs"] or not row["is_online"]:
            continue
        empty = {"name": worker.pool, "pool": None, "workers": 0, "free": 0, "gpus": 0, "free_gpus": 0}
        slot = found.setdefault(worker.pool, empty)
        slot["workers"] += 1
        slot["free"] += not row["is_busy"] and not worker.draining
        for gpu in row["gpus"]:  # several workers of a machine may share out the same ones
            if (key := (worker.pool, worker.host, gpu["id"])) not in seen:
                seen.add(key)
                slot["gpus"] += 1
                slot["free_gpus"] += not gpu["taken"]
    return sorted(found.values(), key=lambda slot: (slot["name"] != "default", slot["name"]))


@require_POST
def worker_drain(request: HttpRequest, pk: int) -> HttpResponse:
    """Let it finish its run and take no other; with `enable`, take runs again."""
    user = _administrator(request)
    pools.drain(worker=get_object_or_404(Worker, pk=pk), user=user, draining="enable" not in request.POST)
    return redirect("worker-list")


@require_POST
def pool_pause(request: HttpRequest, name: str) -> HttpResponse:
    note = request.POST.get("note", "")
    return _pool_order(request, lambda user: pools.pause_pool(name=name, user=user, note=note))


@require_POST
def pool_resume(request: HttpRequest, name: str) -> HttpResponse:
    return _pool_order(request, lambda user: pools.resume_pool(name=name, user=user))


@require_http_methods(["GET", "POST"])
def queue_limits(request: HttpRequest) -> HttpResponse:
    """How much each team may have at work at a time."""
    user = _administrator(request)
    teams = list(Team.objects.select_related("limit").order_by("name", "pk")[:MOST])
    runs, gpus = usage([team.pk for team in teams])
    sent = request.POST.get("team", "") if request.method == "POST" else None
    rows, status = [], 200
    for team in teams:
        mine = sent == str(team.pk)
        form = LimitForm(request.POST if mine else None, team=team)
        if mine and form.is_valid():
            pools.limit_team(team=team, user=user, **form.cleaned_data)
            messages.success(request, f"The limits of {team} were changed.")
            return redirect("queue-limits")
        status = 422 if mine else status
        rows.append({"team": team, "form": form, "runs": runs[team.pk], "gpus": gpus[team.pk]})
    return render(request, "runs/limits.html", {"rows": rows}, status=status)


def _pool_order(request: HttpRequest, order: Callable[[User], Pool]) -> HttpResponse:
    user = _administrator(request)
    try:
        order(user)
    except RunError as error:
        messages.error(request, str(error))
    return redirect("worker-list")


def _administrator(request: HttpRequest) -> User:
    """PermissionDenied for everybody else: workers and pools belong to no team."""
    user = cast(User, request.user)
    if not user.is_superuser:
        raise PermissionDenied("Only administrators of the studio may do this.")
    return user
