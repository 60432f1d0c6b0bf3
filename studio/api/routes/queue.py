"""The queue: where a run stands, its place, priority and pool; pools and workers."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router

from studio.accounts.access import get_for
from studio.accounts.models import Role, User
from studio.api.auth import user_of
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import WorkerOut
from studio.api.schemas_queue import Move, PlaceOut, PoolGiven, PoolOut, QueueChange
from studio.runs import pools, reorder
from studio.runs.line import Place, place_of
from studio.runs.models import Pool, Run, State, Worker
from studio.runs.register import online

router = Router(tags=["queue"])


def _read(user: User, pk: int, role: Role = Role.VIEWER) -> Run:
    return get_for(user, Run.objects.select_related("project"), pk, role)


def _place(run: Run) -> Place | dict[str, Any]:
    return (place_of(run) if run.state == State.QUEUED else None) or {}


@router.get("/runs/{pk}/queue", response=PlaceOut)
def read_place(request: HttpRequest, pk: int) -> Any:
    """Where a waiting run stands, why it waits, and about when it starts."""
    return _place(_read(user_of(request), pk))


@router.patch("/runs/{pk}/queue", response=PlaceOut)
def change_queueing(request: HttpRequest, pk: int, given: QueueChange) -> Any:
    """Give a waiting run another priority, pool, time or need; null is the default."""
    user = user_of(request)
    values = given.dict(exclude_unset=True)
    free = values.pop("free", False)
    run = reorder.change(run=_read(user, pk, Role.EDITOR), user=user, given=values, free=free)
    return _place(run)


@router.post("/runs/{pk}/move", response=PlaceOut)
def move_run(request: HttpRequest, pk: int, given: Move) -> Any:
    """Another place among the runs of its pool and priority that one may edit; those of other teams stay."""
    user = user_of(request)
    run = _read(user, pk, Role.EDITOR)
    reorder.move(run=run, user=user, where=given.where, before=given.before)
    return _place(run)


@router.get("/pools", response=Page[PoolOut])
def list_pools(request: HttpRequest, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Those that were paused once; any other name is an open pool."""
    return page_of(Pool.objects.all(), limit, cursor)


@router.post("/pools/{name}/pause", response=PoolOut)
def pause_pool(request: HttpRequest, name: str, given: PoolGiven) -> Pool:
    """Let no further run of the pool start; for administrators of the studio."""
    return pools.pause_pool(name=name, user=_administrator(request), note=given.note)


@router.post("/pools/{name}/resume", response=PoolOut)
def resume_pool(request: HttpRequest, name: str) -> Pool:
    """Let runs of the pool start again; for administrators of the studio."""
    return pools.resume_pool(name=name, user=_administrator(request))


@router.post("/workers/{pk}/drain", response=WorkerOut)
def drain_worker(request: HttpRequest, pk: int) -> Worker:
    """Let it finish its run and take no other; for administrators of the studio."""
    return _drained(request, pk, True)


@router.post("/workers/{pk}/enable", response=WorkerOut)
def enable_worker(request: HttpRequest, pk: int) -> Worker:
    """Let it take runs again; for administrators of the studio."""
    return _drained(request, pk, False)


def _drained(request: HttpRequest, pk: int, draining: bool) -> Any:
    user = _administrator(request)
    worker: Any = pools.drain(worker=get_object_or_404(Worker, pk=pk), user=user, draining=draining)
    worker.online = online().filter(pk=pk).exists()
    return worker


def _administrator(request: HttpRequest) -> User:
    user = user_of(request)
    if not user.is_superuser:
        raise PermissionDenied("Only administrators of the studio may do this.")
    return user
