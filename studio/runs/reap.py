"""What the scheduler does so that nothing is ever stuck: lost leases, overdue cancels, runs without a wake-up."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from redis.exceptions import RedisError

from studio.runs import queue
from studio.runs.claim import full_teams
from studio.runs.errors import StaleState
from studio.runs.lease import settle
from studio.runs.models import HELD, Run, State

log = logging.getLogger(__name__)
RING_AGAIN_S = 10
MODEST_S = 20.0
GAP_S = 10.0  # twice the period: then a holder may have missed a heartbeat too
MOST = 200


class Looks:
    """Since when the database has taken writes without a gap, by a clock that goes on while the machine sleeps."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.last = 0.0

    def are_unbroken(self) -> bool:
        """Note that the database takes writes. True when there was no look before, or no gap for MODEST_S."""
        now = seconds()
        if self.began is None:
            self.began = now - MODEST_S
        elif now - self.last > GAP_S:
            self.began = now
        self.last = now
        return now - self.began >= MODEST_S


def seconds() -> float:
    """Monotonic, and counting the time that the machine slept: leases go on running out meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


looks = Looks()


def reap_lost() -> int:
    """End attempts whose lease ran out, and cancels that took too long. Returns how many.

    After the database was away or locked, or the machine asleep, it waits until all holders had the time for a
    heartbeat. A heartbeat that comes at the last moment wins: the lease is compared in the transaction that ends it.
    """
    with transaction.atomic():  # on SQLite this waits for the write lock, as the holders do
        found = list(_overdue().values_list("pk", flat=True)[:MOST])
    if not looks.are_unbroken():
        return 0
    return sum(_reap(pk) for pk in found)


def _overdue() -> QuerySet[Run]:
    expired = Q(lease_until__lt=Now() - timedelta(seconds=settings.LEASE_GRACE_S))
    overdue = Q(state=State.CANCELLING, cancel_deadline__lt=Now())
    return Run.objects.filter(state__in=HELD).filter(expired | overdue)


def _reap(pk: int) -> bool:
    with transaction.atomic():
        run = _overdue().select_for_update().filter(pk=pk).first()
        if run is None:
            return False
        where = f"Worker {run.worker.name}" if run.worker else "The worker"
        at = f" at step {run.progress['step']}" if run.progress.get("step") else ""
        try:
            reason = f"{where} stopped answering{at}."
            if run.is_external:
                reason = f"The program that logs it stopped answering{at}. When it comes back, the run goes on."
            settle(run.pk, run.fence, outcome="lost", reason=reason, by="scheduler")
        except StaleState:
            return False
    return True


def reconcile() -> int:
    """Ring again for queued runs whose wake-up is not in the queue. Returns how many."""
    rung = 0
    waiting = Run.objects.startable().filter(queued_at__lt=Now() - timedelta(seconds=RING_AGAIN_S))
    waiting = waiting.exclude(project__team__in=full_teams()[0])
    in_queue: dict[str, list[str]] = {}
    try:
        for run in waiting.in_order()[:MOST]:
            if run.pool not in in_queue:
                in_queue[run.pool] = queue.waiting_ids(run.pool)
            name = queue.wake_up_id(run)
            if not any(known == name or known.startswith(f"{name}-") for known in in_queue[run.pool]):
                queue.enqueue_run(run, again=f"{time.time():.0f}")
                rung += 1
    except (RedisError, OSError) as error:
        log.warning("the queue is away (%s); runs wait in the database", error)
    return rung
