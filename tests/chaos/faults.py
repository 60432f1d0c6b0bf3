"""Faults done to a whole studio, one function each: returns figures in words, and the promises that were broken."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from studio.client.runs import Run
from tests.chaos.stack import LIMIT_S, Stack, seconds_until
from tests.chaos.whole import Reference, broken, broken_history
from tests.ops.stack import eventually
from tests.postgres import Server

Found = tuple[str, list[str]]


def trainer_killed(stack: Stack, reference: Reference) -> Found:
    """`kill -9` of the trainer: how long until the next attempt's first step, with and without its start-up."""
    return _killed(stack, reference, "trainer", 10.0)


def machine_lost(stack: Stack, reference: Reference) -> Found:
    """`kill -9` of worker and trainer at once: nobody is left to tell, the lease must run out."""
    return _killed(stack, reference, "machine", 30.0)


def _killed(stack: Stack, reference: Reference, part: str, limit_s: float) -> Found:
    run = stack.start()
    fence = stack.wait_training(run, saved=True)
    stack.kill(part, run)
    whole = seconds_until(
        lambda: stack.state(run)[1] > fence and stack.steps(run, fence + 1), "the next attempt trains"
    )
    start_up = stack.rows(
        "select (julianday(ready_at) - julianday(started_at)) * 86400 from runs_attempt where run_id = ? and fence = ?",
        run.id,
        fence + 1,
    )[0][0]
    stack.wait_state(run, "succeeded", "failed")
    wrong = broken(stack, run, reference)
    beyond = whole - start_up
    wrong += [f"{beyond:.1f} s beyond start-up, more than {limit_s:.0f} s"] if beyond > limit_s else []
    return f"{whole:.1f} s to the first step of the next attempt, {beyond:.1f} s of it beyond its start-up", wrong


def queue_away(stack: Stack, reference: Reference, away_s: float = 60.0) -> Found:
    """The queue server is killed again and again for a minute, then emptied; runs wait in it and are submitted."""
    runs = [stack.start() for _ in range(4)]
    stack.wait_training(runs[0])
    submitted = False
    until = time.monotonic() + away_s
    while time.monotonic() < until:
        for pid in stack.up.pids("valkey-server"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not submitted and time.monotonic() > until - away_s / 2:
            runs.append(stack.start())
            submitted = True
        time.sleep(0.05)
    back = seconds_until(lambda: empty_queue(stack), "the queue server answers", 90.0)
    last = seconds_until(lambda: all(stack.state(r)[0] == "succeeded" for r in runs), "all runs end", 300.0)
    wrong = [f"run {r.id}: {words}" for r in runs for words in broken(stack, r, reference)]
    wrong += [f"run {r.id} was executed {stack.state(r)[1]} times" for r in runs if stack.state(r)[1] != 1]
    return f"{len(runs)} runs, back {back:.1f} s after the last kill, all ended {last:.0f} s later", wrong


def empty_queue(stack: Stack) -> bool:
    """Delete every key, as the command that would do it is taken away; False while no server answers."""
    import hashlib

    import redis

    key = (stack.up.data_dir / "secret_key").read_text().strip()
    password = hashlib.sha256(f"redis:{key}".encode()).hexdigest()[:32]
    sockets = [stack.up.data_dir / "redis.sock", *Path("/tmp").glob(f"studio-{os.getuid()}-*/redis.sock")]  # noqa: S108
    for socket in sockets:
        with contextlib.suppress(redis.RedisError, OSError):
            client = redis.Redis(unix_socket_path=str(socket), password=password)
            for name in client.scan_iter():
                client.delete(name)
            return True
    return False


def database_locked(stack: Stack, reference: Reference, away_s: float = 60.0) -> Found:
    """Somebody holds the database's write lock for a minute."""
    run = stack.start(epochs=int(away_s * 2.2), every="400st")
    fence = stack.wait_training(run)
    spool = stack.up.data_dir / "runs" / str(run.id) / f"a{fence}" / "spool"
    quiet = _growth(spool, 5.0)
    with closing(sqlite3.connect(stack.database, timeout=20, isolation_level=None)) as other:
        other.execute("begin immediate")
        began, stored = time.monotonic(), stack.steps(run, fence)
        locked = _growth(spool, away_s)
        unchanged = stack.steps(run, fence) == stored
        other.execute("rollback")
        held = time.monotonic() - began
    drained = seconds_until(lambda: stack.steps(run, fence) - stored > 100, "points arrive again")
    stack.wait_state(run, "succeeded", "failed", limit_s=300.0)
    steps = run.refresh().series("train_loss").steps
    wrong = [] if run.state == "succeeded" else [f"it is {run.state}: {run.reason}"]
    wrong += [] if unchanged else ["the lock did not lock"]
    wrong += [] if steps == [float(s + 1) for s in range(len(steps))] else ["points are lost or doubled"]
    wrong += [] if stack.state(run)[1] == 1 else ["it was started again though its worker was there"]
    wrong += broken_history(stack, run)
    figures = f"locked {held:.0f} s; {locked:.0f} spool bytes/s meanwhile, {quiet:.0f} before"
    return f"{figures}; points arrived {drained:.1f} s after; {len(steps)} points in one attempt", wrong


def database_away(stack: Stack, server: Server, away_s: float = 60.0) -> Found:
    """The PostgreSQL server crashes and stays away; one run trains all the while, another may end meanwhile."""
    long, short = stack.start(epochs=int(away_s + 20) * 3, every="400st"), stack.start()
    fence = stack.wait_training(long)
    stack.wait_training(short)
    spool = stack.up.data_dir / "runs" / str(long.id) / f"a{fence}" / "spool"
    quiet, stored, before = _growth(spool, 3.0), stack.steps(long, fence), stack.parts()
    server.stop()
    began = time.monotonic()
    meanwhile = _growth(spool, away_s)
    kept, trains = stack.parts(), bool(stack.trainers(long))
    server.start()
    away = time.monotonic() - began
    first = seconds_until(lambda: stack.steps(long, fence) > stored + 100, "points arrive again")
    for run in (long, short):
        stack.wait_state(run, "succeeded", "failed", limit_s=300.0)
    answers = seconds_until(lambda: answered(stack, long), "the pages answer", 60.0)
    wrong = [] if trains and meanwhile > quiet / 2 else [f"training stood still: {meanwhile:.0f} bytes/s"]
    counts = []
    for run in (long, short):
        steps = run.refresh().series("train_loss").steps
        counts.append(len(steps))
        wrong += [] if run.state == "succeeded" else [f"run {run.id} is {run.state}: {run.reason}"]
        wrong += [] if steps == [float(s + 1) for s in range(len(steps))] else [f"run {run.id} lost or doubled points"]
        wrong += [] if stack.state(run)[1] == 1 else [f"run {run.id} was started again though its worker was there"]
        wrong += broken_history(stack, run)
    gone = sorted(part for part, pids in before.items() if not pids <= kept.get(part, set()))
    figures = (
        f"{away:.0f} s; {meanwhile:.0f} spool bytes/s meanwhile, {quiet:.0f} before; points arrived {first:.1f} s after"
    )
    ended = f"{counts} points in one attempt each; pages answer {answers:.1f} s after the end"
    return f"{figures}; {ended}; ended meanwhile: {', '.join(gone) or 'no process of the studio'}", wrong


def answered(stack: Stack, run: Run) -> bool:
    from studio.client import StudioError

    try:
        return bool(run.refresh().state)
    except StudioError:
        return False


def _growth(spool: Path, seconds: float) -> float:
    """Bytes a second that the trainer writes."""
    began, before = time.monotonic(), _size(spool)
    time.sleep(seconds)
    return (_size(spool) - before) / (time.monotonic() - began)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def cancels(stack: Stack, reference: Reference, count: int = 20) -> Found:
    """From the order to the end, for code that cooperates."""
    took, wrong = [], []
    for _ in range(count):
        run = stack.start(epochs=10_000, every="100000st")
        stack.wait_training(run)
        run.cancel()
        took.append(seconds_until(lambda run=run: stack.state(run)[0] == "cancelled", "it is cancelled"))
        wrong += [] if stack.saved(run, 1) else ["no checkpoint was saved"]
        wrong += broken_history(stack, run)
    took.sort()
    p95 = took[max(0, round(0.95 * len(took)) - 1)]
    wrong += [f"{p95:.1f} s at the 95th percentile, more than 5 s"] if p95 > 5 else []
    return f"{count} cancels: median {statistics.median(took):.1f} s, p95 {p95:.1f} s, most {took[-1]:.1f} s", wrong


def deaf(stack: Stack, reference: Reference) -> Found:
    """Code that ignores signals and never ends its step is cancelled."""
    run = stack.start("deaf", epochs=10_000)
    stack.wait_training(run)
    eventually(lambda: stack.steps(run, 1) >= 29, "it has gone deaf", LIMIT_S)
    run.cancel()
    took = seconds_until(lambda: stack.state(run)[0] == "cancelled", "it is cancelled")
    wrong = broken_history(stack, run)
    wrong += [f"{took:.1f} s, more than 25 s"] if took > 25 else []
    return f"cancelled after {took:.1f} s: {stack.told(run)}", wrong


def strays(stack: Stack, reference: Reference) -> Found:
    """Processes that user code leaves in sessions of their own, one of them without the run's environment."""
    run = stack.start("strays")
    eventually(lambda: len(_strays(stack, run)) == 2, "the strays are there", LIMIT_S)
    stack.wait_state(run, "succeeded", "failed")
    wrong = broken_history(stack, run)
    return f"2 processes in sessions of their own, {len(_strays(stack, run))} after its end", wrong


def _strays(stack: Stack, run: Run) -> list[int]:
    found = []
    for pid in stack.trainers(run):
        with contextlib.suppress(psutil.Error):
            found += [pid] if "a-stray" in psutil.Process(pid).cmdline() else []
    return found


def outcomes(stack: Stack, reference: Reference) -> Found:
    """What became of a run is told apart: an exit, a mistake, the GPU's memory, the machine's memory."""
    wanted = {"exit0": "died", "error": "user_error", "oom_cuda": "oom_cuda"}
    runs = {act: stack.start(act) for act in wanted}
    told, wrong = [], []
    for act, run in runs.items():
        stack.wait_state(run, "failed", "succeeded")
        outcome = run.refresh().outcome
        told.append(f"{act}: {outcome} ({run.reason})")
        wrong += (
            [] if (run.state, outcome, stack.state(run)[1]) == ("failed", wanted[act], 1) else [f"{act}: {outcome}"]
        )
        wrong += broken_history(stack, run)
    return "; ".join(told), wrong


def memory_gone(stack: Stack, reference: Reference) -> Found:
    """The kernel ends the trainer for want of memory, twice: it is tried again once."""
    with little_memory(900 << 20) as put:
        if put is None:
            return "not done: memory groups cannot be made here", []
        run = stack.start("eat", pace_ms=50)
        for fence in (1, 2):
            pid = eventually(
                lambda fence=fence: stack.state(run)[1] == fence and stack.trainers(run), "it trains", LIMIT_S
            )[0]
            put(pid)
            seconds_until(lambda fence=fence: stack.state(run)[1] > fence or stack.state(run)[0] == "failed", "its end")
        stack.wait_state(run, "failed")
    found = stack.rows("select outcome from runs_attempt where run_id = ? order by fence", run.id)
    wrong = [] if found == [("oom_host",), ("oom_host",)] else [f"outcomes are {found}"]
    return stack.told(run), wrong + broken_history(stack, run)


@contextlib.contextmanager
def little_memory(limit_bytes: int) -> Iterator[Callable[[int], Any] | None]:
    """A function that puts a process under a memory limit, or None where that cannot be done (cgroup v1 and root)."""
    own = next(
        (line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().split() if ":memory:" in line), ""
    )
    group = Path(f"/sys/fs/cgroup/memory{own}/studio-chaos-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    except OSError:
        yield None
        return
    try:
        yield lambda pid: (group / "cgroup.procs").write_text(str(pid))
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text().split(), "the memory group is empty")
        group.rmdir()
