"""Orders to what belongs to all teams: pause a pool, drain a worker, limit a team. For administrators of the studio."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from studio.accounts import audit
from studio.accounts.models import Team, User
from studio.runs import publish
from studio.runs.errors import RunError
from studio.runs.models import Pool, TeamLimit, Worker
from studio.runs.queue_options import NAME

MOST_LIMIT = 100_000


def pause_pool(*, name: str, user: User, note: str = "") -> Pool:
    """Let no further run of the pool start; those at work go on. Idempotent."""
    with transaction.atomic():
        pool, _ = Pool.objects.get_or_create(name=_checked(name))
        if Pool.objects.filter(pk=pool.pk, paused_at=None).update(paused_at=Now(), paused_by=user, note=note[:200]):
            audit.record(user, "pool.pause", pool, pool=name, note=note[:200])
            transaction.on_commit(publish.queue)
        pool.refresh_from_db()
    return pool


def resume_pool(*, name: str, user: User) -> Pool:
    """Let runs of the pool start again. Idempotent."""
    with transaction.atomic():
        pool, _ = Pool.objects.get_or_create(name=_checked(name))
        if Pool.objects.filter(pk=pool.pk, paused_at__isnull=False).update(paused_at=None, paused_by=None, note=""):
            audit.record(user, "pool.resume", pool, pool=name)
            transaction.on_commit(publish.queue)
        pool.refresh_from_db()
    return pool


def drain(*, worker: Worker, user: User, draining: bool = True) -> Worker:
    """Let a worker finish its run and take no other, or take runs again. Idempotent."""
    with transaction.atomic():
        if Worker.objects.filter(pk=worker.pk, draining=not draining).update(draining=draining):
            audit.record(user, "worker.drain" if draining else "worker.enable", worker, worker=worker.name)
            transaction.on_commit(publish.queue)
        worker.refresh_from_db()
    return worker


def limit_team(*, team: Team, user: User, max_runs: int | None, max_gpus: int | None) -> TeamLimit:
    """How many runs, and GPUs, of a team may be at work at a time; None for no limit. Those at work go on."""
    for name, value in (("max_runs", max_runs), ("max_gpus", max_gpus)):
        if value is not None and not 0 <= value <= MOST_LIMIT:
            words = f"{name}: got {value}, allowed is a number from 0 to {MOST_LIMIT}, or nothing."
            raise RunError(words, errors={name: words})
    with transaction.atomic():
        values = {"max_runs": max_runs, "max_gpus": max_gpus}
        limit, _ = TeamLimit.objects.update_or_create(team=team, defaults=values)
        audit.record(user, "team.limit", team, **values)
        transaction.on_commit(publish.queue)
    return limit


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise RunError(f"pool: got {name[:60]!r}, allowed are up to 40 of a-z, 0-9, - and _.")
    return name
