"""The ten states of a run and the only function that changes them: compare and set, with its event in one transaction."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from studio.runs import columns, publish
from studio.runs.errors import StaleState
from studio.runs.models import HELD, RESUMABLE, SETTLED, Run, RunEvent, State


class Rule(NamedTuple):
    """Who may take a run from which states to which one; T1 to T11 as in tests/protocol/model.py, which is searched."""

    name: str
    who: str
    starts: tuple[State, ...]
    to: State


RULES = (
    Rule("T1", "editor", (State.DRAFT,), State.QUEUED),
    Rule("T2", "worker", (State.QUEUED,), State.STARTING),
    Rule("T3", "holder", (State.STARTING,), State.RUNNING),
    Rule("T4", "holder", (State.RUNNING, State.PAUSING), State.SUCCEEDED),
    Rule("T5", "holder or reaper", (State.STARTING, State.RUNNING, State.PAUSING), State.FAILED),
    Rule("T6", "holder or reaper", (State.STARTING, State.RUNNING), State.QUEUED),
    Rule(
        "T7", "editor, or scheduler when what it waits for never comes", (State.QUEUED, State.PAUSED), State.CANCELLED
    ),
    Rule(
        "T8", "editor, or holder when its time is up", (State.STARTING, State.RUNNING, State.PAUSING), State.CANCELLING
    ),
    Rule("T9", "holder or reaper", (State.CANCELLING,), State.CANCELLED),
    Rule("T10", "editor", (State.STARTING, State.RUNNING), State.PAUSING),
    Rule("T10", "holder or reaper", (State.PAUSING,), State.PAUSED),
    Rule("T11", "editor", RESUMABLE, State.QUEUED),
)
TRANSITIONS: dict[State, frozenset[State]] = {
    start: frozenset(rule.to for rule in RULES if start in rule.starts) for start in State
}


def transition(run: Run, to: State, *, by: str, reason: str = "", fence: int | None = None, **fields: Any) -> Run:
    """Move `run` from the state it was read in to `to`; with `fence`, only while that attempt is the newest.

    StaleState when the row has changed since, or the protocol has no such rule; then nothing is written. `fields` are
    set in the same statement. A run that returns to the queue keeps its place (`turn`) unless `fields` say
    otherwise. Costs one UPDATE, one INSERT, one SELECT; about five more when a worker gives back a run with metrics.
    """
    start = State(run.state)
    if to not in TRANSITIONS[start]:
        raise StaleState(f"A {start.label.lower()} run cannot become {State(to).label.lower()}.")
    if to in SETTLED:
        fields = {"ended_at": Now(), "lease_until": None, **fields}
    if to == State.QUEUED:
        waits = {
            "queued_at": Coalesce(F("queued_at"), Now()),
            "turn": Coalesce(F("turn"), Now()),
            "ended_at": None,
            "cancel_deadline": None,
        }
        fields = {**waits, "lease_until": None, **fields}
    rows = Run.objects.filter(pk=run.pk, state=start)
    if fence is not None:
        rows = rows.filter(fence=fence)
    with transaction.atomic():
        if rows.update(state=to, reason=reason, **fields) != 1:
            raise StaleState(f"Run {run} is no longer {start.label.lower()}; reload to see what happened.")
        RunEvent.objects.create(
            run_id=run.pk,
            fence=run.fence if fence is None else fence,
            kind="state",
            from_state=start,
            to_state=to,
            by=by[:120],
            text=reason,
        )
        run.refresh_from_db()
        if start in HELD and to not in HELD and run.summary:
            Run.objects.filter(pk=run.pk).update(metrics_at=columns.write_metrics(run.pk, run.project_id, run.summary))
        transaction.on_commit(lambda: publish.state(run))
        transaction.on_commit(publish.queue)
    return run
