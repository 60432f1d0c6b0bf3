"""A whole studio that faults are done to: `manage.py up`, seen by its client, its database and its processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from studio.client import Client
from studio.client.runs import Run
from tests.ops.stack import Studio, eventually, token_of

PROJECT = "My project"
LIMIT_S = 180.0
# What a run trains: it takes its time for a step, and does something bad when it is told to.
SUBJECT = """
import os, signal, subprocess, sys, time
import torch
from trainer_core import LightningModule


class Subject(LightningModule):
    def __init__(self, act: str = "", at: int = 30, pace_ms: float = 10.0):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.Dropout(0.1), torch.nn.Linear(16, 10)
        )

    def training_step(self, batch, batch_idx):
        if self.hparams.act and self.global_step == self.hparams.at:
            getattr(self, f"do_{self.hparams.act}")()
        time.sleep(self.hparams.pace_ms / 1000)
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)

    def do_exit0(self):
        os._exit(0)

    def do_error(self):
        raise ValueError("a mistake of mine")

    def do_oom_cuda(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.10 GiB.")

    def do_eat(self):
        while "studio-chaos" not in open("/proc/self/cgroup").read():  # until its memory is limited
            time.sleep(0.05)
        eaten = []
        while True:
            eaten.append(bytearray(b"x") * (16 << 20))

    def do_deaf(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass

    def do_strays(self):
        for environment in (None, {}):
            subprocess.Popen(
                [sys.executable, "-c", "import signal; signal.pause()", "a-stray"],
                start_new_session=True, env=environment,
            )
"""


class Stack:
    """Use it as a context. `client` may do what the administrator may."""

    def __init__(self, folder: Path, *, workers: int = 2, **environment: str) -> None:
        self.up = Studio(folder / "data", "--port", "0", "--workers", str(workers), **environment)
        self.database = folder / "data" / "studio.sqlite3"
        self._postgres = environment.get("STUDIO_DATABASE_URL", "")
        self._locks = 0

    def __enter__(self) -> Stack:
        try:
            self.up.wait_for(r"ready after ([\d.]+) s", LIMIT_S)
            self.up.wait_ready()
            self.client = Client(self.up.url, token_of(self.up))
            eventually(self.client.workers, "a worker is registered", LIMIT_S)
            self.subject = self.client.models.create("Subject", SUBJECT, project=PROJECT).wait(LIMIT_S)
        except BaseException:
            self.up.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.up.stop(90.0)

    def start(
        self, act: str = "", *, at: int = 30, epochs: int = 20, pace_ms: float = 10.0, every: str = "20st"
    ) -> Run:
        """A run of the subject, always of the same seed: 23 steps an epoch."""
        return self.client.runs.create(
            project=PROJECT,
            model=self.subject,
            dataset="Digits",
            name=act or "subject",
            model_args={"act": act, "at": at, "pace_ms": pace_ms},
            trainer={"max_epochs": epochs},
            extras={"checkpoint_every": every},
            seed=1,
        )

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Straight from the database, whatever the web server does."""
        if self._postgres:
            import psycopg

            with psycopg.connect(self._postgres) as connection:
                return connection.execute(query.replace("?", "%s"), values).fetchall()
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20)) as database:
            return database.execute(query, values).fetchall()

    def state(self, run: Run) -> tuple[str, int]:
        """(state, fence)"""
        return self.rows("select state, fence from runs_run where id = ?", run.id)[0]

    def steps(self, run: Run, fence: int) -> int:
        """The last step that an attempt has stored; 0 before the first."""
        query = "select max(step1) from tracking_metricframe where run_id = ? and fence = ?"
        return self.rows(query, run.id, fence)[0][0] or 0

    def saved(self, run: Run, fence: int) -> int:
        query = "select max(step) from runs_checkpoint where run_id = ? and fence = ?"
        return self.rows(query, run.id, fence)[0][0] or 0

    def wait_training(self, run: Run, *, after: int = 0, saved: bool = False, limit_s: float = LIMIT_S) -> int:
        """Until an attempt above the fence `after` has stored a point (and a checkpoint); its fence, 0 after a success."""

        def training() -> tuple[int] | None:
            state, fence = self.state(run)
            if state == "succeeded":
                return (0,)
            assert state not in ("failed", "cancelled"), self.told(run)
            there = fence > after and self.steps(run, fence) and (not saved or self.saved(run, fence))
            return (fence,) if there else None

        return eventually(training, f"attempt {after + 1} or a later one trains: {self.told(run)}", limit_s)[0]

    def wait_state(self, run: Run, *states: str, limit_s: float = LIMIT_S) -> str:
        return str(
            eventually(
                lambda: (found := self.state(run)[0]) in states and found,
                f"{' or '.join(states)}: {self.told(run)}",
                limit_s,
            )
        )

    def told(self, run: Run) -> str:
        """State and reason."""
        return ": ".join(self.rows("select state, reason from runs_run where id = ?", run.id)[0])

    def parts(self) -> dict[str, set[int]]:
        """Process ids of the studio's long-lived parts."""
        found = {part: set(self.up.pids(part)) for part in ("daphne", "valkey-server", "studio_worker", "scheduler")}
        return {part: pids for part, pids in found.items() if pids}

    def holder(self, run: Run) -> int:
        """Process id of the worker that holds the run."""
        return int(
            self.rows("select w.pid from runs_run r join runs_worker w on r.worker_id = w.id where r.id = ?", run.id)[
                0
            ][0]
        )

    def trainers(self, run: Run) -> list[int]:
        """Living processes that work in the run's folder."""
        folder, found = f"{self.up.data_dir}/runs/{run.id}/", []
        for process in psutil.process_iter():
            try:
                if f"{process.cwd()}/".startswith(folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found

    def kill(self, part: str, run: Run) -> None:
        """SIGKILL to the `trainer`, `worker`, `machine` (both) of the run, or to `queue`, `web`, `scheduler`."""
        if part in ("trainer", "machine"):
            pids = self.trainers(run)
        else:
            pids = self.up.pids({"queue": "valkey-server", "web": "daphne"}.get(part, part)) if part != "worker" else []
        if part in ("worker", "machine"):
            pids = [self.holder(run), *pids]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def new_locks(self) -> int:
        """How often since the last call a process wrote to its log that it was refused the database."""
        logs = (self.up.data_dir / "logs").glob("*.log")
        before, self._locks = self._locks, sum(p.read_text(errors="replace").count("database is locked") for p in logs)
        return self._locks - before


def seconds_until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> float:
    began = time.monotonic()
    eventually(condition, what, limit_s)
    return time.monotonic() - began
