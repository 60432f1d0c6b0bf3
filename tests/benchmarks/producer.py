"""What logging ten metrics costs a training thread: `python -m tests.benchmarks.producer` (a minute).

Steps of about a millisecond of arithmetic, each followed by one call with ten metrics, at the moment when a logger gets
them; the studio's spool beside an array in memory that is written now and then (what could not be cheaper), and beside
TensorBoard and W&B (offline) where they are installed. Each in a process of its own, in turns; the best of the turns
counts, since other work on the machine only lengthens. `thread` is processor time of the training thread alone, which
other work does not touch; `wall` has the waits for the interpreter's lock too. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

KEYS = [f"train/metric_{k}" for k in range(10)]
MOST = {"wall p50, us": 3.0, "wall p99, us": 30.0, "thread, % of a step": 1.0}
Log = Callable[[int, dict[str, Any]], object]


def floor(folder: Path) -> tuple[Log, Callable[[], object]]:
    columns = [array("d") for _ in range(len(KEYS) + 2)]
    file = (folder / "columns").open("ab")

    def log(step: int, values: dict[str, Any]) -> None:
        for column, value in zip(columns, (step, time.time(), *values.values()), strict=True):
            column.append(value)
        if len(columns[0]) >= 1000:
            for column in columns:
                file.write(column.tobytes())
                del column[:]

    return log, file.close


def spool(folder: Path) -> tuple[Log, Callable[[], object]]:
    from trainer_core.events import SpoolWriter
    from trainer_core.loggers.spool import SpoolLogger

    logger = SpoolLogger(SpoolWriter(folder))
    return lambda step, values: logger.log_metrics(values, step), logger.close


def tensorboard(folder: Path) -> tuple[Log, Callable[[], object]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(folder)

    def log(step: int, values: dict[str, Any]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


def wandb(folder: Path) -> tuple[Log, Callable[[], object]]:
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off", WANDB_DISABLE_GIT="true")
    os.environ.update({f"WANDB_{part}_DIR": str(folder / part) for part in ("CACHE", "CONFIG", "DATA")})
    import wandb as peer

    run = peer.init(project="bench", dir=folder, settings=peer.Settings(x_disable_stats=True, x_disable_meta=True))
    return lambda step, values: run.log(values, step=step), run.finish


LOGGERS: dict[str, tuple[Callable[[Path], tuple[Log, Callable[[], object]]], bool, str]] = {
    "array in memory": (floor, False, ""),
    "spool, numbers": (spool, False, ""),
    "spool, tensors": (spool, True, ""),
    "TensorBoard, numbers": (tensorboard, False, "tensorboard"),
    "W&B offline, numbers": (wandb, False, "wandb"),
}
HELD = ("spool, numbers", "spool, tensors")


def measure(name: str, steps: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    make, as_tensors, _ = LOGGERS[name]
    a = torch.randn(160, 160)
    began = time.thread_time()
    for _ in range(50):
        a @ a
    rounds = max(1, int(1e-3 / ((time.thread_time() - began) / 50)))
    walls, threads, nothing = times = [[], [], []]
    clock, busy = time.perf_counter_ns, time.thread_time_ns
    with tempfile.TemporaryDirectory() as folder:
        log, close = make(Path(folder))
        began = time.thread_time()
        for step in range(steps + 200):
            for _ in range(rounds):
                a @ a
            numbers = [step * 0.001 + k for k in range(len(KEYS))]
            values = dict(zip(KEYS, map(torch.tensor, numbers) if as_tensors else numbers, strict=True))
            # In turns, not one around the other: reading a thread's processor time takes longer than the call.
            kind, read = step % 3, clock if step % 3 == 0 else busy
            t = read()
            if kind < 2:
                log(step, values)
            t = read() - t
            if kind == 2:
                log(step, values)
            if step >= 200:
                times[kind].append(t)
        passed = time.thread_time() - began
        close()
    walls.sort()
    thread_us = (sum(threads) / len(threads) - sum(nothing) / len(nothing)) / 1e3
    return {
        "wall p50, us": walls[len(walls) // 2] / 1e3, "wall p99, us": walls[int(len(walls) * 0.99)] / 1e3,
        "thread, us": thread_us, "thread, % of a step": thread_us * (steps + 200) / 1e4 / passed,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(given.child, given.steps)))
        return 0
    names = [name for name, (_, _, package) in LOGGERS.items() if not package or find_spec(package)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(given.turns):
        for name in names:
            command = [sys.executable, "-m", "tests.benchmarks.producer", "--child", name, "--steps", str(given.steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    kept = True
    for name in names:
        best = {figure: min(turn[figure] for turn in found[name]) for figure in found[name][0]}
        missed = [figure for figure, most in MOST.items() if name in HELD and best[figure] > most]
        kept &= not missed
        figures = "   ".join(f"{figure} {value:>8.2f}" for figure, value in best.items())
        print(f"  {name:<22}{figures}   {'MISSED: ' + ', '.join(missed) if missed else 'ok' if name in HELD else ''}")
    for name in LOGGERS.keys() - set(names):
        print(f"  {name}: left out, since it is not installed")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
