"""Who holds a run: the lease, its heartbeat, and what a holder writes. Every write compares the fence.

Times that decide anything are the database's (`Now()`); a holder's clock decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least, Now
from django.utils.module_loading import import_string

from studio.runs import publish, queue, slots
from studio.runs.claim import acquire, acquire_next
from studio.runs.errors import StaleState
from studio.runs.models import HELD, RESUMABLE, Attempt, Checkpoint, Run, RunEvent, State
from studio.runs.states import transition

__all__ = ["acquire", "acquire_next"]
RESTARTED = ("lost", "infra", "hung")  # within the budget; `preempted` always; `oom_host` once
# A pause that was asked for is kept when the attempt ends for no fault of the user's code.
PAUSED_BY = ("paused", "cancelled", "preempted", "oom_host", *RESTARTED)
CRASH_LOOP = 3
MEASURES = {"validate": "Validating", "test": "Testing", "predict": "Predicting"}


@dataclass(frozen=True, slots=True)
class Held:
    """What a heartbeat brings back: the state in which people want the run."""

    state: State


def beat(run_pk: int, fence: int) -> Held | None:
    """Extend the lease; None when the attempt has been superseded: the holder must stop at once."""
    held = Run.objects.filter(pk=run_pk, fence=fence, state__in=HELD)
    if not held.update(lease_until=Now() + timedelta(seconds=settings.LEASE_S)):
        return None
    state = state_of(run_pk, fence)
    return None if state is None else Held(state)


class Orders(NamedTuple):
    state: State
    saves_asked: int


def orders_of(run_pk: int, fence: int) -> Orders | None:
    """In which state people want the run that this attempt holds, and how many checkpoints they have asked for so far;
    None when it has been superseded."""
    found = Run.objects.filter(pk=run_pk, fence=fence, state__in=HELD).values_list("state", "saves_asked").first()
    return None if found is None else Orders(State(found[0]), found[1])


def state_of(run_pk: int, fence: int) -> State | None:
    orders = orders_of(run_pk, fence)
    return None if orders is None else orders.state


def overtime(run_pk: int, fence: int, words: str) -> None:
    """The run has had its time: its holder itself stops it, as a cancel would (T8); not when people stopped it before.

    StaleState when the attempt has been superseded.
    """
    with transaction.atomic():
        run = _held(run_pk, fence)
        if run.state == State.RUNNING:
            deadline = Now() + timedelta(seconds=settings.CANCEL_LIMIT_S)
            transition(run, State.CANCELLING, by="worker", fence=fence, reason=words, cancel_deadline=deadline)


def time_used_s(run: Run) -> float:
    """Seconds that earlier attempts took since a person queued or resumed the run last. Two queries."""
    earlier = run.attempts.filter(fence__gt=_resumed_at(run)).values_list("started_at", "ended_at")
    return sum((end - start).total_seconds() for start, end in earlier if end is not None)


def is_held(run_pk: int, fence: int) -> bool:
    """Inside a transaction on SQLite (IMMEDIATE) or with the row locked on PostgreSQL, this stays true until its end."""
    return bool(Run.objects.select_for_update().filter(pk=run_pk, fence=fence, state__in=HELD).values_list("pk"))


def _held(run_pk: int, fence: int) -> Run:
    """The locked row; StaleState when another attempt holds the run, or nobody does."""
    run = Run.objects.select_for_update().filter(pk=run_pk, fence=fence, state__in=HELD).first()
    if run is None:
        raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
    return run


def ready(
    run_pk: int, fence: int, resume_step: int, *, facts: dict[str, Any] | None = None, by: str = "trainer"
) -> None:
    """The trainer is about to train (T3): later points and checkpoints of earlier attempts become abandoned.

    StaleState when the attempt is not the newest any more.
    """
    with transaction.atomic():
        run = _held(run_pk, fence)
        Attempt.objects.filter(run_id=run_pk, fence=fence).update(
            resume_step=resume_step, ready_at=Now(), host={**_host(run_pk, fence), **(facts or {})}
        )
        earlier = Attempt.objects.filter(run_id=run_pk, fence__lt=fence)
        earlier.filter(valid_to_step__isnull=True).update(valid_to_step=resume_step)
        earlier.update(valid_to_step=Least(F("valid_to_step"), resume_step))
        Checkpoint.objects.filter(run_id=run_pk, fence__lt=fence, step__gt=resume_step).update(superseded=True)
        for hook in getattr(settings, "RUN_READY_HOOKS", ()):
            import_string(hook)(run_pk, fence, resume_step)
        if run.state == State.STARTING:
            words = "A program outside of the studio logs it" if run.is_external else "Training"
            where = f" from step {resume_step}" if resume_step > 0 else ""
            if stage := run.spec.get("extras", {}).get("stage"):
                words, where = MEASURES.get(stage, words), ""
            transition(run, State.RUNNING, by=by, fence=fence, reason=f"{words}{where}.")


def _host(run_pk: int, fence: int) -> dict[str, Any]:
    return Attempt.objects.values_list("host", flat=True).get(run_id=run_pk, fence=fence)


def report_progress(run_pk: int, fence: int, progress: dict[str, Any]) -> bool:
    """Store the newest progress; False when the attempt has been superseded."""
    held = Run.objects.filter(pk=run_pk, fence=fence, state__in=HELD)
    if not held.update(progress=progress):
        return False
    run = Run.objects.defer("spec", "summary").get(pk=run_pk)
    transaction.on_commit(lambda: publish.state(run))
    return True


def note(run_pk: int, fence: int, kind: str, text: str, by: str = "trainer") -> None:
    """Add to the run's history (kind `notice`, `unsaved` or `saved`); StaleState when the attempt has been superseded."""
    with transaction.atomic():
        _held(run_pk, fence)
        RunEvent.objects.create(run_id=run_pk, fence=fence, kind=kind, by=by, text=text[:4000])


def note_once(run_pk: int, fence: int, text: str, by: str = "trainer") -> None:
    """A notice, unless this attempt has the very same one."""
    with transaction.atomic():
        _held(run_pk, fence)
        if not RunEvent.objects.filter(run_id=run_pk, fence=fence, kind="notice", text=text[:4000]).exists():
            RunEvent.objects.create(run_id=run_pk, fence=fence, kind="notice", by=by, text=text[:4000])


def settle(run_pk: int, fence: int, *, outcome: str, reason: str, detail: str = "", by: str = "worker") -> Run:
    """End an attempt and move the run on: to an end, to pause, or back to the queue when a restart may help.

    StaleState when the attempt is not the newest one any more: then nothing is written.
    """
    with transaction.atomic():
        run = _held(run_pk, fence)
        if run.state == State.PAUSING and outcome == "cancelled":
            outcome = "paused"
        Attempt.objects.filter(run_id=run_pk, fence=fence).update(
            ended_at=Now(), outcome=outcome, reason=reason, detail=detail[:100_000]
        )
        if outcome != "lost":  # then its trainer may still be there: the worker itself lets go
            slots.let_go(run_pk, fence)
        to, fields, words = _next(run, outcome, reason)
        run = transition(run, to, by=by, reason=words, fence=fence, outcome=outcome, **fields)
        if to == State.QUEUED:
            queue.enqueue_run(run)
    return run


def _next(run: Run, outcome: str, reason: str) -> tuple[State, dict[str, Any], str]:
    """Where a run goes from here, what else is set, and why, in words."""
    if run.state == State.CANCELLING:
        said = outcome in ("cancelled", "time_limit")
        return State.CANCELLED, {}, reason if said else f"Cancelled. {reason}"
    if run.state == State.PAUSING and outcome in PAUSED_BY:
        words = f"Paused. {reason} Resume goes on from the newest checkpoint."
        return State.PAUSED, {"lease_until": None}, words
    if outcome == "ok":
        return State.SUCCEEDED, {}, reason
    if run.is_external:
        return State.FAILED, {}, reason
    may_restart = run.state in (State.STARTING, State.RUNNING)
    if may_restart and outcome == "preempted":
        return State.QUEUED, {"not_before": Now()}, f"{reason} It is back at the front of the queue."
    again = outcome in RESTARTED or (outcome == "oom_host" and _times(run, outcome) <= 1)
    limit = settings.MAX_RESTARTS
    if may_restart and again and run.restarts < limit:
        if _is_crash_loop(run):
            return State.FAILED, {}, f"{reason} {CRASH_LOOP} attempts in a row ended without a newer checkpoint."
        wait = settings.RESTART_WAITS_S[min(run.restarts, len(settings.RESTART_WAITS_S) - 1)]
        fields = {"restarts": F("restarts") + 1, "not_before": Now() + timedelta(seconds=wait)}
        words = f"{reason} Restarting (attempt {run.fence + 1}, restart {run.restarts + 1} of {limit})"
        return State.QUEUED, fields, words + (f" in {wait} s." if wait else ".")
    if again and run.restarts >= limit:
        reason = f"{reason} All {limit} automatic restarts are used."
    elif outcome == "oom_host":
        reason = f"{reason} It has been tried again once already."
    return State.FAILED, {}, reason


def _times(run: Run, outcome: str) -> int:
    """How many attempts have ended so since a person resumed the run last."""
    return run.attempts.filter(outcome=outcome, fence__gt=_resumed_at(run)).count()


def _resumed_at(run: Run) -> int:
    """The newest attempt when a person resumed the run last; 0 when nobody has."""
    resumed = run.events.filter(to_state=State.QUEUED, from_state__in=RESUMABLE).order_by("-pk")
    return resumed.values_list("fence", flat=True).first() or 0


def _is_crash_loop(run: Run) -> bool:
    """Whether the last attempts all ended without a checkpoint of their own; shut-downs of workers do not count."""
    if run.restarts < CRASH_LOOP - 1:
        return False  # a person has resumed it since
    ended = run.attempts.exclude(outcome="preempted").order_by("-fence")
    fences = list(ended.values_list("fence", flat=True)[:CRASH_LOOP])
    return not Checkpoint.objects.filter(run=run, fence__in=fences).exists()
