"""What became of a trainer that ended, in an outcome and a sentence."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer_core.events import OUTCOMES

# A kill from outside is not the code's own doing: it may be tried again. A fault of its own is.
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# What only the supervisor can know.
NOT_SAID_BY_TRAINERS = ("lost", "unkillable", "preempted", "hung", "time_limit")
# Kernel counters of processes that were ended for want of memory: the whole machine's, the cgroup's (v2, v1).
OOM_COUNTERS = ("/proc/vmstat", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`outcome` is one of trainer_core.events.OUTCOMES; `detail` is the traceback of the user's code."""

    outcome: str
    reason: str
    detail: str = ""


def classify(done: dict[str, Any] | None, code: int | None, *, last_step: int = 0, oom_killed: bool = False) -> Outcome:
    """From the trainer's `done` event and its exit code; only `done` proves a proper end."""
    if done is not None:
        outcome = str(done.get("outcome"))
        if outcome not in OUTCOMES or outcome in NOT_SAID_BY_TRAINERS:
            outcome = "died"
        return Outcome(outcome, str(done.get("reason") or "")[:2000], str(done.get("traceback") or ""))
    at = f" at step {last_step}" if last_step else " before its first step"
    if oom_killed:
        advice = "Reduce the batch size or the number of data workers."
        return Outcome("oom_host", f"The machine ran out of memory{at}, and the process was ended. {advice}")
    if code is not None and code < 0:
        outcome = "infra" if -code in FROM_OUTSIDE else "died"
        return Outcome(outcome, f"The process ended without a result ({_signal_name(-code)}){at}.")
    return Outcome("died", f"The process ended without a result (exit code {code}){at}.")


def oom_kills() -> int:
    """How many processes the kernel has ended for want of memory, as far as its counters can be read."""
    total = 0
    for path in OOM_COUNTERS:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(path).read_text().splitlines():
                if line.startswith("oom_kill "):
                    total += int(line.split()[1])
    return total


def _signal_name(number: int) -> str:
    try:
        return f"signal {number}, {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
