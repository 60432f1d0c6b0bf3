"""One supervised child process: how it is started, told to end, and how long it rests before the next start."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from django.conf import settings

Kind = Literal["redis", "web", "worker", "scheduler"]

RESTS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_S = 10.0  # a child that ran so long has recovered: its next rest is the shortest
LOG_LIMIT_BYTES = 20 << 20
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass
class Child:
    """A process of the installation. `command` is called at each start, so that a name can be a fresh one."""

    name: str
    kind: Kind
    command: Callable[[], Sequence[str]]
    log: Path
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    orphan_signal: signal.Signals = signal.SIGTERM  # what it gets when the supervisor is killed

    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C of the terminal reaches the supervisor only."""
        _keep_short(self.log)
        parent = os.getpid()

        def in_child() -> None:
            if _libc is not None:
                _libc.prctl(_PR_SET_PDEATHSIG, self.orphan_signal)
                if os.getppid() != parent:
                    os._exit(1)

        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=settings.BASE_DIR,
                env={**os.environ, **self.environment},
                pass_fds=self.pass_fds,
                start_new_session=True,
                preexec_fn=in_child,
            )
        self.started_at = time.monotonic()

    def poll(self) -> int | None:
        """Exit status (negative: signal) if it ended since the last call; forgets the process then."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is not None:
            self.process = None
        return status

    def rest(self) -> float:
        """Plan the next start after an unexpected end; returns the seconds until then."""
        now = time.monotonic()
        self.failures = 1 if now - self.started_at >= STEADY_S else self.failures + 1
        pause = RESTS_S[min(self.failures, len(RESTS_S)) - 1]
        self.start_at = now + pause
        return pause

    def signal(self, which: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(which)

    def kill(self) -> None:
        """End it and everything in its process group at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The last line of its log, for the terminal."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].strip()[:200] if lines else ""


def in_words(status: int) -> str:
    """How a process ended: `exit code 1`, `killed by SIGKILL`."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _keep_short(log: Path) -> None:
    """Keep one older part of a log that has grown long; only between two processes, which hold it open."""
    try:
        if log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
    except FileNotFoundError:
        pass
