"""Logging from elsewhere, measured: `python -m tests.benchmarks.external` (minutes), beside TensorBoard and W&B offline.

What `run.log` of 10 numbers costs the calling thread, in steps of about 1 ms and in a tight loop; how fast what was
logged offline is sent to a real server, whose web process is killed meanwhile; and how much memory the server takes
while it exports all of it. The exit code is 1 when a point is missing, or memory grows with the points.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

import studio.client
from studio.client import Client
from studio.client.recorder import frames_of_rows
from studio.client.sync import sync
from tests.ops.stack import Studio, token_of
from trainer_core.events import EVENT, SpoolWriter, encode_event

NAMES = [f"train/metric_{k}" for k in range(10)]
STEPS, MOST_GROWTH_MIB = 3000, 150


def values(step: int) -> dict[str, float]:
    return {name: step * 0.5 + k for k, name in enumerate(NAMES)}


@contextmanager
def ours(folder: Path) -> Iterator[Callable[[int, dict[str, float]], None]]:
    run = studio.client.init("p", folder=folder, offline=True)
    yield lambda step, row: run.log(row, step)
    run.finish()


@contextmanager
def tensorboard(folder: Path) -> Iterator[Callable[[int, dict[str, float]], None]]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def log(step: int, row: dict[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, step)

    yield log
    writer.close()


@contextmanager
def wandb(folder: Path) -> Iterator[Callable[[int, dict[str, float]], None]]:
    import wandb

    run = wandb.init(project="p", dir=str(folder), mode="offline", settings=wandb.Settings(silent=True))
    yield lambda step, row: run.log(row, step=step)
    run.finish()


def cost_us(log: Callable[[int, dict[str, float]], None], pause_s: float) -> tuple[float, float]:
    """Median and 99th percentile of a call, wall time of the calling thread."""
    took = []
    for step in range(STEPS):
        row = values(step)
        begun = time.perf_counter_ns()
        log(step, row)
        took.append((time.perf_counter_ns() - begun) / 1000)
        if pause_s:
            time.sleep(pause_s)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def write_offline(folder: Path, project: int, rows: int) -> int:
    """A run as a program leaves it; the points it has."""
    run = studio.client.init(project, "big", folder=folder, offline=True)
    run.log(values(0), 0)
    run.finish()
    (spool,) = folder.glob("*/a1/spool")
    for segment in spool.iterdir():
        segment.unlink()
    writer = SpoolWriter(spool)
    writer.write((EVENT, encode_event("ready", {"resume_step": 0})))
    for at in range(0, rows, 5000):
        lines = [(float(s), 0.0, 1.7e9 + s, list(values(s).values())) for s in range(at, min(at + 5000, rows))]
        writer.write(*frames_of_rows(NAMES, lines))
    writer.write((EVENT, encode_event("done", {"outcome": "ok", "reason": "Done."})))
    writer.close()
    return rows * len(NAMES)


def web_processes(up: Studio) -> list[psutil.Process]:
    children = psutil.Process(up.process.pid).children(recursive=True)
    return [p for p in children if "daphne" in " ".join(p.cmdline())]


@contextmanager
def peak_mib(processes: list[psutil.Process]) -> Iterator[list[float]]:
    """How much the largest of them grew above what it had, filled in at the end."""
    found, is_over = [0.0], threading.Event()
    before = {p.pid: p.memory_info().rss for p in processes}

    def look() -> None:
        while not is_over.wait(0.02):
            for p in processes:
                found[0] = max(found[0], (p.memory_info().rss - before[p.pid]) / 2**20)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def with_a_server(rows: int, root: Path) -> bool:
    up = Studio(root / "data", "--port", "0", "--workers", "0")
    try:
        up.wait_ready()
        client = Client(up.url, token_of(up))
        project = client.projects.list()[0].id
        points = write_offline(root / "runs", project, rows)
        killer = threading.Timer(0.5, lambda: [os.kill(p.pid, signal.SIGKILL) for p in web_processes(up)])
        killer.start()
        wall, cpu, tries = time.perf_counter(), time.process_time(), 0
        while True:
            tries += 1
            try:
                if all(one.is_whole for one in sync(client._connection, root / "runs")):
                    break
            except studio.client.NotReached:
                time.sleep(0.2)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"sync of {points:,} points, web process killed once: {wall:.1f} s, {points / wall:,.0f} points/s wall, "
              f"client CPU {cpu:.2f} s, {tries} tries")  # fmt: skip
        run = client.runs.list()[0]
        exact = all(run.summary[name]["count"] == rows for name in NAMES) and run.state == "succeeded"
        print(f"each point once: {exact}")
        for form in ("csv", "jsonl", "parquet"):
            with peak_mib(web_processes(up)) as grown:
                wall = time.perf_counter()
                path = run.download_metrics(root / f"all.{form}")
                wall = time.perf_counter() - wall
            size = path.stat().st_size / 2**20
            print(f"export {form}: {size:.0f} MiB in {wall:.1f} s, {points / wall:,.0f} points/s, +{grown[0]:.0f} MiB")
            exact &= grown[0] < MOST_GROWTH_MIB
            path.unlink()
        return exact
    finally:
        up.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of 10 points, for the server")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for tool in (ours, tensorboard, wandb):
            for words, pause_s in (("steps of 1 ms", 0.001), ("a tight loop", 0.0)):
                (folder := root / f"{tool.__name__}-{pause_s}").mkdir()
                with tool(folder) as log:
                    log(0, values(0))
                    middle, rare = cost_us(log, pause_s)
                print(f"{tool.__name__:>12}, {words}: p50 {middle:.1f} us, p99 {rare:.1f} us", flush=True)
        return 0 if with_a_server(given.rows, root) else 1


if __name__ == "__main__":
    sys.exit(main())
