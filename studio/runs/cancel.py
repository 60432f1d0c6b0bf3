"""Orders of people to a run that exists: cancel, pause, resume, save a checkpoint."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from studio.accounts.models import User
from studio.runs import queue
from studio.runs.errors import RunError, StaleState
from studio.runs.models import RESUMABLE, Run, RunEvent, State
from studio.runs.states import transition

TRIES = 5


def request_cancel(*, run: Run, user: User | None) -> Run:
    """Cancel at once when nobody holds the run; else ask its worker to checkpoint and stop. Idempotent.

    RunError when the run has ended already.
    """
    by = str(user or "system")
    for _ in range(TRIES):
        run.refresh_from_db()
        if run.state in (State.CANCELLING, State.CANCELLED):
            return run
        try:
            if run.state in (State.QUEUED, State.PAUSED):
                return transition(run, State.CANCELLED, by=by, reason=f"Cancelled by {by}.", outcome="cancelled")
            if run.state in (State.STARTING, State.RUNNING, State.PAUSING):
                deadline = Now() + timedelta(seconds=settings.CANCEL_LIMIT_S)
                reason = f"{by} asked to stop; the current step and a checkpoint come first."
                if run.is_external:
                    reason = f"{by} asked to stop; the program that logs it is told."
                return transition(run, State.CANCELLING, by=by, reason=reason, cancel_deadline=deadline)
        except StaleState:
            continue
        break
    raise RunError(f"Run {run} has ended already: it {State(run.state).label.lower()}.")


def request_pause(*, run: Run, user: User | None) -> Run:
    """Ask the worker to checkpoint and give the run back; RunError when it is not running."""
    run.refresh_from_db()
    _refuse_external(run, "be paused")
    if run.state in (State.PAUSING, State.PAUSED):
        return run
    if run.state not in (State.STARTING, State.RUNNING):
        raise RunError(f"Only a running run can pause; {run} is {State(run.state).label.lower()}.")
    by = str(user or "system")
    return transition(run, State.PAUSING, by=by, reason=f"{by} asked to pause; a checkpoint comes first.")


def request_save(*, run: Run, user: User | None) -> Run:
    """Ask the worker for a checkpoint after the current step, which is pinned; RunError when the run does not train."""
    _refuse_external(run, "be saved")
    by = str(user or "system")
    with transaction.atomic():
        trains = Run.objects.filter(pk=run.pk, state=State.RUNNING)
        if not trains.update(saves_asked=F("saves_asked") + 1):
            run.refresh_from_db()
            raise RunError(f"Only a running run can save a checkpoint; {run} is {State(run.state).label.lower()}.")
        text = f"{by} asked for a checkpoint; it follows after the current step."
        RunEvent.objects.create(run=run, fence=run.fence, kind="notice", by=by[:120], text=text)
    run.refresh_from_db()
    return run


def request_resume(*, run: Run, user: User | None) -> Run:
    """Queue a paused, failed or cancelled run again; it continues from its newest usable checkpoint."""
    run.refresh_from_db()
    _refuse_external(run, "be resumed")
    if run.state not in RESUMABLE:
        raise RunError(f"{run} is {State(run.state).label.lower()}; there is nothing to resume.")
    by = str(user or "system")
    with transaction.atomic():
        again: dict[str, Any] = {"restarts": 0, "outcome": "", "queued_at": Now(), "turn": Now()}
        again["not_before"] = Now()
        transition(run, State.QUEUED, by=by, reason=f"Resumed by {by}.", **again)
        queue.enqueue_run(run)
    return run


def _refuse_external(run: Run, what: str) -> None:
    if run.is_external:
        raise RunError(f"{run} runs outside of the studio and cannot {what} from here; start its program again there.")
