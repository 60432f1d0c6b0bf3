"""A worker takes the next run that it may start: in order, within the limits of teams, with the GPUs that are free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from studio.runs import slots
from studio.runs.errors import StaleState
from studio.runs.models import Attempt, GpuClaim, Run, State, TeamLimit, Worker
from studio.runs.states import transition

MOST_LOOKED_AT = 2000
LIGHT = ("pk", "project__team_id", "gpus", "labels", "spec__trainer")


def acquire_next(worker: Worker, pool: str | None = None) -> Attempt | None:
    """Take the first waiting run of the pool that this worker may start: highest priority, then whose turn is first."""
    for pk in may_start(worker, pool or worker.pool):
        if attempt := acquire(pk, worker):
            return attempt
    return None


def acquire(run_pk: int, worker: Worker) -> Attempt | None:
    """Lease this run and begin its next attempt (T2), with its GPUs; None when that is not possible now.

    Locks, in this order: the team's limit, the workers of the machine, the run.
    """
    try:
        with transaction.atomic():
            run = Run.objects.filter(pk=run_pk, state=State.QUEUED).select_related("project").first()
            if run is None:
                return None
            limit = TeamLimit.objects.select_for_update().filter(team_id=run.project.team_id).first()
            here = Worker.objects.select_for_update(no_key=True).filter(host=worker.host).order_by("pk")
            mine = next((found for found in here if found.pk == worker.pk), None)
            if mine is None or mine.draining or not set(run.labels) <= set(mine.labels):
                return None
            if not Run.objects.filter(pk=run_pk).startable().update(fence=F("fence") + 1):
                return None
            run.refresh_from_db()
            devices = slots.take(run, mine)
            if devices is None or _is_over(limit):
                raise StaleState("It cannot start now.")
            transition(
                run,
                State.STARTING,
                by=worker.name,
                fence=run.fence,
                worker=worker,
                lease_until=Now() + timedelta(seconds=settings.LEASE_S),
                started_at=Coalesce(F("started_at"), Now()),
                outcome="",
            )
            given = devices if mine.devices else None
            return Attempt.objects.create(run=run, fence=run.fence, worker=worker, host=worker.info, devices=given)
    except (StaleState, IntegrityError):
        return None


def may_start(worker: Worker, pool: str) -> Iterator[int]:
    """Runs of the pool that this worker may start now, in order; a look without locks. At most five queries.

    A run for which some of the worker's GPUs are still busy is waited for: no later one takes GPUs before it.
    """
    full, rooms = full_teams()
    free: int | None = None
    rows = Run.objects.filter(pool=pool).startable().exclude(project__team__in=full).in_order()
    for pk, team, gpus, labels, trainer in rows.values_list(*LIGHT)[:MOST_LOOKED_AT]:
        if not set(labels) <= set(worker.labels):
            continue
        count = slots.wanted_of(gpus, trainer or {}, bool(worker.devices))
        if count > len(worker.devices) or count > rooms.get(team, count):
            continue
        if count:
            free = len(slots.free(worker)) if free is None else free
            if free < count:
                free = 0
                continue
        yield pk


def full_teams() -> tuple[list[int], dict[int, int]]:
    """Teams that may have no further run at work, and how many GPUs the other limited ones may still take."""
    limits = list(TeamLimit.objects.all())
    if not limits:
        return [], {}
    runs, gpus = usage([limit.team_id for limit in limits])
    full = [limit.team_id for limit in limits if limit.max_runs is not None and runs[limit.team_id] >= limit.max_runs]
    rooms = {lim.team_id: max(lim.max_gpus - gpus[lim.team_id], 0) for lim in limits if lim.max_gpus is not None}
    return full, rooms


def usage(teams: list[int]) -> tuple[Counter[int], Counter[int]]:
    """Runs at work, and GPUs given to them, by team. Two queries."""
    runs = Run.objects.held().filter(project__team__in=teams).values_list("project__team_id", flat=True)
    claims = GpuClaim.objects.filter(run__project__team__in=teams).values_list("run__project__team_id", flat=True)
    return Counter(runs), Counter(claims)


def _is_over(limit: TeamLimit | None) -> bool:
    """Whether the team has more than it may, with the run that is just taken: its claims are there, its state is not."""
    if limit is None:
        return False
    runs, gpus = usage([limit.team_id])
    over_runs = limit.max_runs is not None and runs[limit.team_id] >= limit.max_runs
    return over_runs or (limit.max_gpus is not None and gpus[limit.team_id] > limit.max_gpus)
