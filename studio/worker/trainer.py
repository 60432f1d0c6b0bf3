"""A trainer process: started ready, given a run, asked to stop, ended with all that it left behind.

It is executed, never forked, has no database, no queue and no secrets, and dies with its worker. All its descendants
carry a mark in their environment, so that none survives, whatever session it moved to.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from django.conf import settings

COMMAND = [sys.executable, "-m", "trainer_core.launch", "--standby"]
MARK = "TRAINER_MARK"
PR_SET_CHILD_SUBREAPER = 36
KILL_LIMIT_S = 10.0
# What a trainer may see of this process's environment: nothing of the studio's own.
PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE",
    "HF_HOME", "TORCH_HOME", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES",
)  # fmt: skip


def child_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """A clean environment for user code. A crash of its interpreter writes the stack of every thread to its output."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **(extra or {})}


class Trainer:
    """One trainer process in a session of its own; start it from the main thread, as it dies with the thread."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.mark = f"{_owner_mark()}-{secrets.token_hex(8)}"
        self.started_at = time.monotonic()
        self._others: set[int] = set()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=self._words,
            stderr=self._words,
            env={**child_environment(environment), MARK: self.mark},
            cwd=settings.BASE_DIR,
            start_new_session=True,
        )
        _trainers.add(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def give(self, run_dir: Path, environment: dict[str, str]) -> None:
        """Hand over a run; OSError when the process has died meanwhile."""
        order = {"run_dir": str(run_dir), "env": environment, "output": str(run_dir / "output.log")}
        if self.process.stdin is None:
            raise OSError("the trainer has no pipe")
        self._others = _children()
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def poll(self) -> int | None:
        """The exit code; negative for a signal; None while it lives."""
        return self.process.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM to the trainer alone: its own children are its business."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def dump_stacks(self) -> None:
        """Let it write the stack of every thread to its output and end, also when Python itself is stuck."""
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(2.0)

    def kill(self) -> list[int]:
        """SIGKILL to it and to everything that it has started; returns what could not be ended within 10 s."""
        deadline = time.monotonic() + KILL_LIMIT_S
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        while True:
            self.process.poll()
            living = list(marked(lambda mark, wanted=self.mark: mark == wanted, session=self.pid))
            living += self._strays()
            for pid in living:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if self.process.poll() is not None and not living:
                return []
            if time.monotonic() > deadline:
                return living or [self.pid]
            time.sleep(0.01)

    def _strays(self) -> list[int]:
        """Processes of user code that shed the mark, and which this worker adopted when their parent died."""
        if not _adopts or not self._others:
            return []
        found = _children() - self._others - _trainers
        for pid in list(found):
            with contextlib.suppress(ChildProcessError):
                found -= {os.waitpid(pid, os.WNOHANG)[0]}
        return sorted(found)

    def last_words(self) -> bytes:
        """What it wrote before it was given a run: why it could not start."""
        self._words.seek(0)
        return self._words.read(64_000).replace(b"ready\n", b"")

    def close(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        self._words.close()
        if self.process.poll() is not None:
            _trainers.discard(self.pid)


_trainers: set[int] = set()
_adopts = False


def adopt_orphans() -> None:
    """From now on a process whose parent dies becomes this worker's child, so that `Trainer.kill` finds it (Linux)."""
    global _adopts
    with contextlib.suppress(OSError, AttributeError):
        _adopts = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def _children() -> set[int]:
    """This process's own and adopted children."""
    return {child.pid for child in psutil.Process().children()}


def marked(wanted: object, *, session: int = 0) -> Iterator[int]:
    """Living processes of a session, or whose mark `wanted(mark)` accepts; none where there is no /proc."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] in "ZX" or int(entry.name) == os.getpid():
                continue
            if (session and int(fields[3]) == session) or wanted(_mark_of(entry)):  # type: ignore[operator]
                yield int(entry.name)


def _mark_of(entry: Path) -> str:
    prefix = f"{MARK}=".encode()
    for variable in (entry / "environ").read_bytes().split(b"\0"):
        if variable.startswith(prefix):
            return variable[len(prefix) :].decode("ascii", "replace")
    return ""


def _owner_mark() -> str:
    """Names this very process, also after its number has been given to another one."""
    return f"{os.getpid()}.{psutil.Process().create_time():.2f}"


def end_orphans() -> int:
    """End trainers (and what they started) whose worker was killed; returns how many processes there were."""

    def is_orphan(mark: str) -> bool:
        pid, _, started = mark.partition("-")[0].partition(".")
        if not pid.isdigit():
            return False
        try:
            return f"{psutil.Process(int(pid)).create_time():.2f}" != started
        except psutil.NoSuchProcess:
            return True

    found = list(marked(is_orphan))
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)
