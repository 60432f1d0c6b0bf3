"""Runs of programs elsewhere (a laptop, a notebook, a cluster): made, taken up, and given up by the program that logs them.

Each attempt reads one spool of the program. They take the same states as all runs; a program that comes back with the
same spool goes on where the studio stopped to read.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from studio.accounts.models import Project, User
from studio.runs import columns
from studio.runs.errors import RunError, StaleState
from studio.runs.lease import settle
from studio.runs.models import HELD, Attempt, Run, Source, State
from studio.runs.states import transition
from studio.runs.submit import take_number
from studio.runs.together import first_of_go

MOST_CONFIG_BYTES = 1 << 20
EARLIEST = 946_684_800.0  # the year 2000: an earlier time is of a clock that was not set


def create_external(
    *,
    project: Project,
    user: User,
    key: str,
    name: str,
    config: dict[str, Any],
    tags: list[str],
    note: str = "",
    started: float | None = None,
) -> Run:
    """A run that nobody logs to yet; the same `key` of a user gives the same run again. `started`: seconds since 1970."""
    known = Run.objects.filter(created_by=user, idempotency_key=key).first()
    if known is not None:
        return known
    spec = {"config": checked_config(config)}
    try:
        with transaction.atomic():
            number = take_number(project.pk)
            run = Run.objects.create(
                project=project,
                number=number,
                together=first_of_go(project.pk, user, number),
                name=name.strip()[:120] or f"run {number}",
                note=note,
                tags=tags,
                source=Source.EXTERNAL,
                spec=spec,
                spec_hash=hash_of(spec),
                created_by=user,
                idempotency_key=key,
                started_at=moment(started),
            )
            columns.write_config(run)
            return run
    except IntegrityError:
        return Run.objects.get(created_by=user, idempotency_key=key)


def open_attempt(
    run: Run, *, spool: str, host: dict[str, Any], by: str, started: float | None = None, again: bool = False
) -> Attempt:
    """The attempt that reads this spool from now on, with a lease.

    A spool that was read before goes on where that stopped, and nothing of it is done again. A new spool takes the run
    from whoever holds it. RunError when the run has ended well, or when it was cancelled and `again` does not say that
    it is meant to go on; StaleState when a newer spool holds the run.
    """
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run.pk)
        known = run.attempts.filter(spool_key=spool).order_by("-fence").first()
        if run.state in HELD:
            if known is not None and known.fence == run.fence:
                extend(run.pk, run.fence)
                return known
            if known is not None:
                raise StaleState(f"Another program has gone on with run {run}; what this one logs is not taken.")
            run = settle(run.pk, run.fence, outcome="lost", reason="Another program went on with the run.", by=by)
        if run.state == State.SUCCEEDED:
            raise RunError(f"Run {run} has ended; log to a new one.")
        if run.state == State.CANCELLED and not again:
            raise RunError(f"Run {run} was cancelled in the studio.")
        return _begun(run, known, spool=spool, host=host, by=by, started=started)


def _begun(
    run: Run, known: Attempt | None, *, spool: str, host: dict[str, Any], by: str, started: float | None
) -> Attempt:
    transition(run, State.QUEUED, by=by, reason="A program begins to log it.", outcome="")
    Run.objects.filter(pk=run.pk).update(fence=F("fence") + 1)
    run.refresh_from_db()
    leased = Now() + timedelta(seconds=settings.EXTERNAL_LEASE_S)
    started_at = Coalesce(F("started_at"), Now())
    transition(
        run, State.STARTING, by=by, fence=run.fence, reason="It has not logged anything yet.", lease_until=leased,
        started_at=started_at,
    )  # fmt: skip
    if known is None:
        begun: dict[str, Any] = {"started_at": moment(started) or Now()}
    else:
        fields = ("spool_segment", "spool_offset", "valid_to_step", "ready_at")
        begun = {name: getattr(known, name) for name in fields}
    attempt = Attempt.objects.create(run=run, fence=run.fence, spool_key=spool, host=host, **begun)
    if known is not None and known.ready_at is not None:
        Attempt.objects.filter(pk=attempt.pk).update(ready_at=Now())
        transition(run, State.RUNNING, by=by, fence=run.fence, reason="The program that logs it is back.")
    attempt.refresh_from_db()
    return attempt


def extend(run_pk: int, fence: int) -> bool:
    """Keep the lease: the program was heard. False when it does not hold the run."""
    leased = Now() + timedelta(seconds=settings.EXTERNAL_LEASE_S)
    return Run.objects.filter(pk=run_pk, fence=fence, state__in=HELD).update(lease_until=leased) > 0


def end(run: Run, fence: int, *, outcome: str, reason: str, detail: str, by: str, ended: float | None) -> Run:
    """What the program said at its end; StaleState when another one has gone on with the run."""
    with transaction.atomic():
        if run.state == State.STARTING:  # it ended before it logged anything
            transition(run, State.RUNNING, by=by, fence=fence, reason="A program outside of the studio logs it.")
        if outcome == "cancelled" and run.state == State.RUNNING:
            transition(run, State.CANCELLING, by=by, fence=fence, reason=reason)
        run = settle(run.pk, fence, outcome=outcome, reason=reason, detail=detail, by=by)
        if (at := moment(ended)) is not None and (run.started_at is None or at >= run.started_at):
            Run.objects.filter(pk=run.pk).update(ended_at=at)
            Attempt.objects.filter(run=run, fence=fence, started_at__lte=at).update(ended_at=at)
            run.ended_at = at
    return run


def configure(run_pk: int, fence: int, config: dict[str, Any]) -> None:
    """Add to what the program said of itself."""
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_pk)
        run.spec = {"config": checked_config({**run.spec.get("config", {}), **config})}
        if Run.objects.filter(pk=run_pk, fence=fence).update(spec=run.spec, spec_hash=hash_of(run.spec)):
            columns.write_config(run)


def checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """Without the character that PostgreSQL refuses; RunError when it is too large."""
    text = json.dumps(config)
    if len(text) > MOST_CONFIG_BYTES:
        words = f"has {len(text):,} bytes as JSON; at most {MOST_CONFIG_BYTES:,} are kept"
        raise RunError(f"config {words}.", errors={"config": words})
    found: dict[str, Any] = json.loads(text.replace("\\u0000", "\\ufffd"))
    return found


def hash_of(spec: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()


def moment(seconds: float | None) -> datetime | None:
    """A time that a program told, None when its clock cannot have been right."""
    now = timezone.now()
    if seconds is None or not EARLIEST < seconds <= now.timestamp() + 1:
        return None
    return datetime.fromtimestamp(seconds, tz=now.tzinfo)
