"""The product, broken on purpose: each of these must be found out, or the harness proves nothing.

Some break the trainer, some the supervisor's side; `apply` is called in both kinds of process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.chaos.promises import DOUBLED, LOST, UNCOMMITTED, UNEQUAL

Patch = tuple[Any, str, Any]


def checkpoint_before_its_points() -> list[Patch]:
    """The event goes out before what was logged until then."""
    from trainer_core.loggers.spool import SpoolLogger

    def event(self: Any, kind: str, /, **fields: Any) -> None:
        self._writer.event(kind, t=0.0, **fields)

    return [(SpoolLogger, "event", event), (SpoolLogger, "barrier", lambda self: None)]


def event_before_its_files() -> list[Patch]:
    """The checkpoint is told as soon as it has a name."""
    import hashlib

    from trainer_core.checkpoint import io

    real = io.write_folder

    def write_folder(folder: Any, checkpoint: Any, extra: Any = None) -> Any:
        from trainer_core.events import SpoolWriter

        writer: Any = next(o for o in _living(SpoolWriter))
        writer.event("checkpoint", t=0.0, step=extra["step"], epoch=0.0, name=folder.name, size_bytes=1,
                     manifest_sha256=hashlib.sha256(b"").hexdigest(), metrics={}, reason="", score=None, best=False)  # fmt: skip
        return real(folder, checkpoint, extra)

    return [(io, "write_folder", write_folder)]


def _living(kind: type) -> list[Any]:
    import gc

    return [o for o in gc.get_objects() if isinstance(o, kind)]


def no_place_in_the_data() -> list[Patch]:
    """A resumed epoch begins at its first batch again."""
    from trainer_core.data.derived import DerivedLoader

    real = DerivedLoader.begin
    return [(DerivedLoader, "begin", lambda self, epoch, first=0, cycle=0: real(self, epoch, 0, cycle))]


def no_optimizer_state() -> list[Patch]:
    """A resumed run begins with fresh moments."""
    from trainer_core.strategies.base import Strategy

    return [(Strategy, "load_optimizer_states", lambda self, states: None)]


def abandoned_points_stay() -> list[Patch]:
    """A new attempt does not end the line of the earlier ones."""
    from studio.tracking import stored

    return [(stored, "limits_of", lambda run_pk: {})]


def no_cursor() -> list[Patch]:
    """A piece of the spool that is read again is stored again."""
    from studio.worker import spool

    real = spool.SpoolReader._store

    def store(self: Any, blocks: Any, position: Any) -> None:
        real(self, blocks, position)
        if blocks:
            attempt = spool.lease.Attempt.objects.filter(run_id=self._run, fence=self._fence)
            kept = attempt.values_list("spool_segment", "spool_offset")[0]
            attempt.update(spool_offset=0, spool_segment=1)
            real(self, blocks, position._replace(offset=position.offset + 1))
            attempt.update(spool_segment=kept[0], spool_offset=kept[1])
            self._position = position

    return [(spool.SpoolReader, "_store", store)]


def oldest_checkpoint_first() -> list[Patch]:
    """A run resumes from the oldest that is left."""
    from studio.worker.supervisor import checkpoints

    real = checkpoints.resume_list
    return [(checkpoints, "resume_list", lambda run_pk: dict(reversed(real(run_pk).items())))]


#: Name → (where it works, what it must break, how).
MUTANTS: dict[str, tuple[str, str, Callable[[], list[Patch]]]] = {
    "checkpoint before its points": ("trainer", LOST, checkpoint_before_its_points),
    "event before its files": ("trainer", UNCOMMITTED, event_before_its_files),
    "no place in the data": ("trainer", UNEQUAL, no_place_in_the_data),
    "no optimizer state": ("trainer", UNEQUAL, no_optimizer_state),
    "abandoned points stay": ("supervisor", DOUBLED, abandoned_points_stay),
    "no cursor": ("supervisor", DOUBLED, no_cursor),
    "oldest checkpoint first": ("supervisor", LOST, oldest_checkpoint_first),
}


def apply(name: str, side: str) -> list[Patch]:
    """Break this process; what to set to mend it again."""
    if not name or MUTANTS[name][0] != side:
        return []
    mended = []
    for owner, attribute, value in MUTANTS[name][2]():
        mended.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, value)
    return mended


@contextmanager
def applied(name: str, side: str) -> Iterator[None]:
    mended = apply(name, side)
    try:
        yield
    finally:
        for owner, attribute, value in mended:
            setattr(owner, attribute, value)
