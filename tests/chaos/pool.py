"""Trainers for a supervisor out of a warm process, each with the moment at which it will be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kill:
    """When a trainer dies: so long after it was given its run, or in the place of its n-th operation on files."""

    after_s: float | None = None
    at_operation: int | None = None


class Pool:
    """The warm process. `fork` is thread-safe only towards the ends that it reports."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
        )
        self._codes: dict[int, int] = {}
        self._news = threading.Condition()
        self._answers: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, name="zygote", daemon=True).start()
        try:
            self._wait(600.0)
        except BaseException:  # an interrupt among them
            self.process.kill()
            self.process.wait()
            raise

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = json.loads(line)
            with self._news:
                if "code" in words:
                    self._codes[words["pid"]] = words["code"]
                else:
                    self._answers.append(words)
                self._news.notify_all()

    def _wait(self, limit_s: float) -> dict[str, Any]:
        with self._news:
            if not self._news.wait_for(lambda: self._answers, limit_s):
                raise TimeoutError(
                    f"the warm process said nothing for {limit_s:g} s; its code is {self.process.poll()}"
                )
            return self._answers.pop(0)

    def fork(self, order: dict[str, Any]) -> int:
        """Start a trainer; its process number."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return int(self._wait(30.0)["pid"])

    def code_of(self, pid: int) -> int | None:
        with self._news:
            return self._codes.get(pid)

    def wait_for(self, pid: int, limit_s: float) -> int:
        with self._news:
            assert self._news.wait_for(lambda: pid in self._codes, limit_s), f"{pid} did not end"
            return self._codes[pid]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Warm:
    """What a supervisor asks of a trainer process; see `studio.worker.trainer.Trainer`."""

    def __init__(self, pool: Pool, kill: Kill | None, mutant: str, told: Callable[[float], None]) -> None:
        self.pool, self.plan, self.mutant, self._told = pool, kill, mutant, told
        self.pid = 0
        self._timer: threading.Timer | None = None
        self._began = 0.0

    def give(self, run_dir: Path, environment: dict[str, str]) -> None:
        order: dict[str, Any] = {"run_dir": str(run_dir), "env": environment, "output": str(run_dir / "output.log")}
        order |= {"mutant": self.mutant, "kill_at": self.plan.at_operation if self.plan else None}
        self.pid = self.pool.fork(order)
        self._began = time.monotonic()
        if self.plan is not None and self.plan.after_s is not None:
            self._timer = threading.Timer(self.plan.after_s, self._strike)
            self._timer.start()

    def _strike(self) -> None:
        # Only while it has not been waited for: its number may belong to another process afterwards.
        if self.pool.code_of(self.pid) is None:
            with suppress(ProcessLookupError):  # it has ended and the warm process is about to say so
                os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        return self.pool.code_of(self.pid)

    def ask_to_stop(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def dump_stacks(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGABRT)

    def kill(self) -> list[int]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None
        if not self.pid:
            return []
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.pool.wait_for(self.pid, 10.0)
        self._told(time.monotonic() - self._began)
        return []

    def last_words(self) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing is open."""


class Standby:
    """Gives a supervisor its one trainer."""

    def __init__(self, trainer: Warm) -> None:
        self.trainer = trainer

    def take(self, environment: dict[str, str] | None = None) -> Warm:
        return self.trainer

    def refill(self) -> None:
        """The pool is always ready."""
