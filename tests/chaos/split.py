"""Split brains: a holder is stopped past its lease, another goes on, the first one comes back and wants to write."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import Any

from studio.client.runs import Run
from tests.chaos.stack import Stack, seconds_until
from tests.ops.stack import eventually

# Leases of 1.5 s: see tests/chaos/short_leases.py.
SETTINGS = "tests.chaos.short_leases"
# What an attempt alone may write of itself. Later attempts may retire its checkpoints and abandon its points.
WRITTEN = {
    "runs_attempt": "started_at, ready_at, ended_at, outcome, reason, resume_step, spool_segment, spool_offset, log_bytes",
    "runs_checkpoint": "id, step, name, manifest_sha256",
    "tracking_metricframe": "id, seq, step0, step1",
    "tracking_logchunk": "id, offset, size",
    "runs_runevent": "id, kind, text",
}


@dataclass
class Rounds:
    """`stale` counts rows of a superseded attempt that changed after it came back."""

    played: int = 0
    stale: int = 0
    in_transaction: int = 0
    back_s: list[float] = field(default_factory=list)


def play(stack: Stack, count: int) -> tuple[Run, Rounds]:
    """`count` rounds with one run that goes on for ever; it is cancelled at the end."""
    rounds = Rounds()
    run = stack.start(epochs=1_000_000, pace_ms=5, every="10st")
    for _ in range(count):
        _round(stack, run, rounds)
        print(
            f"  {rounds.played} rounds, {rounds.stale} stale writes, {rounds.in_transaction} inside a transaction",
            flush=True,
        )
    run.cancel()
    stack.wait_state(run, "cancelled")
    return run, rounds


def _round(stack: Stack, run: Run, rounds: Rounds) -> None:
    fence = stack.wait_training(run, saved=True)
    worker, trainers = stack.holder(run), stack.trainers(run)
    if stack.state(run)[1] != fence or not trainers:
        return
    _signal(signal.SIGSTOP, worker, *trainers)
    try:
        try:
            eventually(lambda: stack.state(run) != ("running", fence), "it is taken from its holder", 40.0)
        except AssertionError:
            rounds.in_transaction += 1  # it was stopped while it held the database's lock
            return
        stack.wait_training(run, after=fence)
        before = _rows_of(stack, run, fence)
    finally:
        _signal(signal.SIGCONT, *trainers, worker)
    old = f"/runs/{run.id}/a{fence}"
    rounds.back_s.append(seconds_until(lambda: not any(_is_in(p, old) for p in trainers), "the old trainer is ended"))
    after = _rows_of(stack, run, fence)
    rounds.stale += sum(a != b for a, b in zip(before, after, strict=True))
    rounds.played += 1


def _rows_of(stack: Stack, run: Run, fence: int) -> list[Any]:
    return [
        stack.rows(f"select {columns} from {table} where run_id = ? and fence = ? order by id", run.id, fence)  # noqa: S608
        for table, columns in WRITTEN.items()
    ]


def _signal(which: signal.Signals, *pids: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, which)
        except ProcessLookupError:
            continue


def _is_in(pid: int, folder: str) -> bool:
    try:
        return folder in os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
