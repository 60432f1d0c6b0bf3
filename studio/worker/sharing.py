"""Between this machine and the object store: what a run needs is brought here, what it made has arrived before it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from studio.core import blobs, objects
from studio.core.objects import ObjectDamaged, ObjectMissing
from studio.core.stores import StoreError
from studio.registry.models import DatasetVersion
from studio.runs import checkpoints, shared_checkpoints
from studio.runs.models import Attempt, Checkpoint
from studio.runs.register import online
from studio.worker.data import Spec, bring_apart

log = logging.getLogger(__name__)
AGAIN_S = 2.0
ON_ITS_WAY_S = 300.0  # so long a checkpoint is waited for that a living worker has not sent yet
T = TypeVar("T")
Tick = Callable[[], None]
Tell = Callable[[str], None]


def bring_files(spec: Spec, version: DatasetVersion | None, start: Checkpoint | None, tick: Tick, tell: Tell) -> Spec:
    """The specification with the files of data and start where they are on this machine; as it is without a store.

    Waits for a store that is away: `tell` hears in words what for, `tick` is called all the time and may raise to end
    it. ObjectMissing or ObjectDamaged for what nobody has any more.
    """
    if not objects.is_open():
        return spec
    in_place = version is None or {"server_file", "stored"} & {*version.info}
    for name, digest in {} if version is None or in_place else version.data_blobs.items():
        path = _patiently(lambda alive, digest=digest: blobs.bring(digest, lambda size: alive()), tick, tell)  # type: ignore[misc]
        spec = {**spec, "data": {**spec["data"], "files": {**spec["data"].get("files", {}), name: str(path)}}}
    if start is not None and spec.get("start"):
        folder = _patiently(lambda alive: shared_checkpoints.bring(start, lambda size: alive()), tick, tell)
        spec = {**spec, "start": {**spec["start"], "file": str(folder / checkpoints.FILE)}}
    return spec


def bring_checkpoints(run_pk: int, tick: Tick, tell: Tell) -> dict[str, str]:
    """As `checkpoints.resume_list`, with the newest that can be had on this machine, and the best; those before them
    that nobody has any more are left out. Waits as `bring_files`.
    """
    rows, deadline = checkpoints.to_resume(run_pk), time.monotonic() + ON_ITS_WAY_S
    found: list[Checkpoint] = []
    while rows and not found:
        row = rows[0]
        try:
            if _patiently(lambda alive, row=row: _bring(row, alive), tick, tell):  # type: ignore[misc]
                found.append(row)
        except (ObjectDamaged, ObjectMissing) as error:
            log.warning("checkpoint %s of run %s is not used: %s", row.name, run_pk, error)
        if not found and row.stored_at is None and _is_alive(row) and time.monotonic() < deadline:
            tell("Waiting for its newest checkpoint, which another worker is sending")
            _pause(tick)
            rows = checkpoints.to_resume(run_pk)
        else:
            rows = rows[1:]
    for best in (row for row in rows if row.is_best):
        _bring_if_possible(best, tick, tell)
    return {row.name: row.manifest_sha256 for row in [*found, *rows] if shared_checkpoints.is_here(row)}


def wait_until_sent(run_pk: int, is_failing: Callable[[], bool], tick: Tick, most_s: float) -> None:
    """Until the store has the checkpoints of the run that are on this machine, but not for a store that is away."""
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline and not is_failing() and next(shared_checkpoints.waiting(run_pk), None):
        _pause(tick, 0.2)


def _bring(row: Checkpoint, alive: Callable[[], None]) -> bool:
    """False when neither this machine nor the store has it."""
    if shared_checkpoints.whole_here(row):
        return True
    if not shared_checkpoints.is_stored(row):
        return False
    shared_checkpoints.bring(row, lambda size: alive())
    return True


def _bring_if_possible(row: Checkpoint, tick: Tick, tell: Tell) -> None:
    try:
        _patiently(lambda alive: _bring(row, alive), tick, tell)
    except StoreError as error:
        log.warning("checkpoint %s of run %s is not here: %s", row.name, row.run_id, error)


def _is_alive(row: Checkpoint) -> bool:
    """Whether the worker that wrote it is there to send it. Two queries."""
    holder = Attempt.objects.filter(run=row.run_id, fence=row.fence).values("worker")
    return online().filter(pk__in=holder).exists()


def _patiently(job: Callable[[Callable[[], None]], T], tick: Tick, tell: Tell) -> T:
    """Again and again until the store answers."""
    while True:
        try:
            return bring_apart(job, tick)
        except (ObjectDamaged, ObjectMissing):
            raise
        except StoreError as error:
            log.warning("the object store is waited for: %s", error)
            tell("Waiting for the object store, which does not answer")
            _pause(tick)


def _pause(tick: Tick, most_s: float = AGAIN_S) -> None:
    deadline = time.monotonic() + most_s
    while (left := deadline - time.monotonic()) > 0:
        tick()
        time.sleep(min(0.1, left))
