"""Changes to waiting runs: their order, priority, pool, and what they wait for.

Who may edit a run may give it any place that a run which they may edit has: those of other teams stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal

from django.db import transaction
from django.db.models.functions import Now

from studio.accounts import audit
from studio.accounts.models import Project, User
from studio.runs import publish, queue
from studio.runs.errors import RunError, StaleState
from studio.runs.models import Run, RunEvent, RunQuerySet, State
from studio.runs.queue_options import columns_of

Where = Literal["first", "up", "down", "last"]
WHERE: tuple[Where, ...] = ("first", "up", "down", "last")
A_BIT = timedelta(microseconds=1)
MOST = 5000


def move(*, run: Run, user: User, where: Where | None = None, before: int | None = None) -> int:
    """Give a waiting run another place among those of its pool and priority that the user may edit; how far it moved.

    `before` is the key of the run that it should stand before. RunError when it does not wait, or that is no such run.
    """
    if (where is None) == (before is None) or (where is not None and where not in WHERE):
        raise RunError(f"where: got {where!r}, allowed is one of {', '.join(WHERE)}, or the run to stand before.")
    with transaction.atomic():
        line = _line_of(run, user)
        pks = [one.pk for one in line]
        if run.pk not in pks:
            raise StaleState(f"{run} does not wait any more; reload to see what happened.")
        old = pks.index(run.pk)
        new = _place(pks, old, where, before)
        if new == old:
            return 0
        turns = [one.turn for one in line]
        line.insert(new, line.pop(old))
        for one, turn in zip(line, turns, strict=True):
            if one.turn != turn and not _waiting().filter(pk=one.pk, turn=one.turn).update(turn=turn):
                raise StaleState(f"{one} does not wait any more; reload to see what happened.")
        by = abs(new - old)
        words = f"Moved {by} place{'' if by == 1 else 's'} {'forward' if new < old else 'back'} in the queue."
        _told(run, user, "queue.move", words, places=new - old)
    return by


def change(*, run: Run, user: User, given: Mapping[str, Any], free: bool = False) -> Run:
    """Set options of queue_options.QUEUE_OPTIONS of a waiting run; `free` lets it start without what it comes after.

    RunError, with a sentence by option, when something does not fit or it waits no more: then nothing is written.
    """
    columns, errors = columns_of(run.project, given)
    if _follows(columns.get("after"), run):
        errors["after"] = f"after: {columns['after']} itself comes after {run}."
    if errors:
        raise RunError(next(iter(errors.values())), errors=errors)
    fields = {_column(name): None for name in given} | columns
    for name, default in (("pool", "default"), ("priority", 0), ("labels", [])):
        if name in fields and fields[name] is None:
            fields[name] = default
    if fields.get("not_before", 0) is None:
        fields["not_before"] = Now()
    if free:
        fields |= {"after": None, **_with_new_weights(run)}
    fields = {name: value for name, value in fields.items() if value != getattr(run, name)}
    if not fields:
        return run
    with transaction.atomic():
        if not _waiting().filter(pk=run.pk, fence=run.fence).update(**fields):
            raise StaleState(f"{run} does not wait any more; reload to see what happened.")
        words = "; ".join(f"{name.replace('_', ' ')}: {_said(value)}" for name, value in fields.items())
        _told(run, user, "queue.change", f"Changed in the queue: {words}.", fields=sorted(fields))
        run.refresh_from_db()
        queue.enqueue_run(run, again=f"{run.events.count()}")
    return run


def _with_new_weights(run: Run) -> dict[str, Any]:
    """Of one that was to begin with a checkpoint which is not there yet; RunError where there is nothing to do then."""
    if not run.after_checkpoint or run.start_checkpoint_id is not None:
        return {}
    if run.spec.get("extras", {}).get("stage"):
        words = (
            f"{run} trains nothing: without the checkpoint that it waits for there is nothing to do. Cancel it instead."
        )
        raise RunError(words, errors={"free": words})
    return {"after_checkpoint": ""}


def editable(runs: RunQuerySet, user: User) -> RunQuerySet:
    """Those that the user may change."""
    if user.is_superuser:
        return runs
    return runs.filter(project__in=Project.objects.editable_by(user))


def _waiting() -> RunQuerySet:
    return Run.objects.filter(state=State.QUEUED)


def _line_of(run: Run, user: User) -> list[Run]:
    """The waiting runs of its pool and priority that the user may edit, in order, locked, each with a turn of its own."""
    line = _waiting().filter(pool=run.pool, priority=run.priority)
    locked = list(line.select_for_update().order_by("pk").only("pk", "turn", "number", "name")[:MOST])
    locked.sort(key=lambda one: (one.turn, one.pk))
    for earlier, later in pairwise(locked):
        if (
            later.turn is not None and earlier.turn is not None and later.turn <= earlier.turn
        ):  # queued in the same moment: apart from now on, in the order that they have
            turn = later.turn = earlier.turn + A_BIT
            _waiting().filter(pk=later.pk).update(turn=turn)
    mine = set(editable(Run.objects.filter(pk__in=[one.pk for one in locked]), user).values_list("pk", flat=True))
    return [one for one in locked if one.pk in mine]


def _place(pks: list[int], old: int, where: Where | None, before: int | None) -> int:
    if where is not None:
        return {"first": 0, "up": max(old - 1, 0), "down": min(old + 1, len(pks) - 1), "last": len(pks) - 1}[where]
    if before not in pks:
        raise RunError("It can take the place of a run of the same pool and priority that you may edit.")
    target = pks.index(before)
    return target - 1 if target > old else target


def _follows(first: Run | None, run: Run) -> bool:
    """Whether `first` is the run or, over any number of runs between, waits for it."""
    for _ in range(100):
        if first is None:
            return False
        if first.pk == run.pk:
            return True
        first = first.after
    return True


def _column(option: str) -> str:
    return {"start_after": "not_before", "max_runtime": "max_runtime_s"}.get(option, option)


def _said(value: Any) -> str:
    return "none" if value in (None, []) else "now" if isinstance(value, Now) else str(value)


def _told(run: Run, user: User, action: str, words: str, **detail: Any) -> None:
    RunEvent.objects.create(run=run, fence=run.fence, kind="notice", by=str(user)[:120], text=words[:4000])
    audit.record(user, action, run, **detail)
    transaction.on_commit(publish.queue)
