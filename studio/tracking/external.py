"""What a program elsewhere logs: pieces of its spool, taken as a worker takes those of its trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import transaction

from studio.runs import lease
from studio.runs.errors import StaleState
from studio.runs.external import configure, end, extend, moment
from studio.runs.models import HELD, Attempt, Run
from studio.tracking import external_media
from studio.tracking.intake import Event, Intake, clean
from trainer_core.errors import SpoolError
from trainer_core.events import Frame, Position, frames_of

ENDS = ("ok", "user_error", "nan_stop", "oom_cuda", "oom_host", "cancelled", "died")
PROGRESS = ("stage", "epoch", "max_epochs", "step", "max_steps", "fraction", "eta_s", "steps_per_s", "elapsed_s", "t")


@dataclass(frozen=True, slots=True)
class Received:
    """How far an attempt's spool is stored, and in which state people want the run. `is_held`: more is taken."""

    fence: int
    position: Position
    state: str
    is_held: bool


def receive(run_pk: int, fence: int, position: Position, data: bytes) -> Received:
    """Store the whole frames of a piece of the spool that lies at `position`, and keep the lease.

    A piece that does not begin where the last one ended changes nothing; a next segment may begin. StaleState when the
    attempt is superseded, SpoolError for a damaged piece: what was whole before the damage is stored then.
    """
    damage: SpoolError | None = None
    with transaction.atomic():  # one piece at a time: the same one, sent twice at once, is told once
        run = Run.objects.select_for_update().get(pk=run_pk)
        attempt = Attempt.objects.filter(run_id=run_pk, fence=fence).first()
        if attempt is None or run.fence != fence:
            raise StaleState(f"Another program has gone on with run {run}; what this one logs is not taken.")
        at = Position(attempt.spool_segment, attempt.spool_offset)
        if run.state in HELD:
            extend(run_pk, fence)
            if data and position in (at, (at.segment + 1, 0)):
                at, damage = _take(run, attempt, position, data)
                run.refresh_from_db()
    if damage is not None:
        raise damage
    return Received(fence, at, run.state, run.state in HELD)


def _take(run: Run, attempt: Attempt, position: Position, data: bytes) -> tuple[Position, SpoolError | None]:
    """Where the next piece begins, and what was damaged."""
    by, damage = host_of(attempt), None
    intake = Intake(attempt, event_handler(run.pk, attempt.fence, by), external_media.folder_of(run.pk))

    def frames() -> Iterator[Frame]:
        nonlocal damage
        try:
            yield from frames_of(data, position)
        except SpoolError as error:
            damage = error

    intake.take(frames())
    if intake.done is not None:
        run.refresh_from_db()
        done = intake.done
        outcome = str(done.get("outcome"))
        end(
            run,
            attempt.fence,
            outcome=outcome if outcome in ENDS else "died",
            reason=clean(str(done.get("reason") or ""))[:2000],
            detail=clean(str(done.get("traceback") or "")),
            by=by,
            ended=number(done.get("t")),
        )
        transaction.on_commit(lambda: external_media.forget(run.pk))
    return intake.position, damage


def event_handler(run_pk: int, fence: int, by: str) -> Callable[[Event], None]:
    """What each event does to the run's rows. ValueError, KeyError or TypeError for one that does not fit."""

    def handle(event: Event) -> None:
        kind = event["kind"]
        if kind == "ready":
            goes_on = Attempt.objects.filter(run_id=run_pk, fence__lt=fence).exists()
            lease.ready(run_pk, fence, int(event.get("resume_step") or 0) if goes_on else 0, by=by)
            if (at := moment(number(event.get("t")))) is not None:
                Attempt.objects.filter(run_id=run_pk, fence=fence, started_at__lte=at).update(ready_at=at)
        elif kind == "config":
            configure(run_pk, fence, dict(event["config"]))
        elif kind == "notice":
            lease.note(run_pk, fence, "notice", clean(str(event.get("text", ""))), by=by)
        elif kind == "progress":
            lease.report_progress(run_pk, fence, {k: event[k] for k in PROGRESS if k in event})
        elif kind == "checkpoint":
            raise ValueError("checkpoints of programs outside of the studio are not taken")

    return handle


def host_of(attempt: Attempt) -> str:
    return str(attempt.host.get("hostname") or "elsewhere")[:100]


def number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
