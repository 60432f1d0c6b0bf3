"""A Python child that looks at somebody's code: its own session, no secrets, bounded in time, memory and output."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

TIMEOUT_S = 60.0
TICK_S = 1.0
MAX_MEMORY_BYTES = 6 << 30
MAX_FILE_BYTES = 64 << 20
KEPT_OUTPUT_BYTES = 16 << 10
_MARK = "STUDIO_INSPECTION"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. `code` is negative for a signal; `output` the beginning and end of what it printed."""

    code: int
    timed_out: bool
    output: str


def run_child(
    module: str,
    *arguments: str,
    folder: Path,
    timeout_s: float = TIMEOUT_S,
    tick: Callable[[], None] | None = None,
    file_bytes: int = MAX_FILE_BYTES,
) -> Ended:
    """Run `python -m module arguments` in `folder` and wait; afterwards nothing that it started is alive.

    The child is killed with its process group, and with whatever left the group but kept the environment's mark.
    `tick` is called about once a second meanwhile.
    """
    mark = secrets.token_hex(16)
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=_environment(folder, mark),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        close_fds=True,
    )
    _limit(process.pid, timeout_s, file_bytes)
    assert process.stdout is not None
    output = _Output(process.stdout)
    timed_out = False
    try:
        timed_out = not _ended(process, timeout_s, tick)
    finally:
        _kill(process, mark)
    return Ended(process.returncode, timed_out, output.text())


def _ended(process: subprocess.Popen[bytes], timeout_s: float, tick: Callable[[], None] | None) -> bool:
    """Wait; False if it goes on after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while True:
        left = end - time.monotonic()
        try:
            process.wait(max(0.0, left) if tick is None else max(0.0, min(left, TICK_S)))
            return True
        except subprocess.TimeoutExpired:
            if time.monotonic() >= end:
                return False
            if tick is not None:
                tick()


def _environment(folder: Path, mark: str) -> dict[str, str]:
    """Made from nothing, so that no secret of the studio's own environment is in it."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONFAULTHANDLER": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        _MARK: mark,
    }


def _limit(pid: int, timeout_s: float, file_bytes: int) -> None:
    """Bounds set from outside, before the child has imported anything; where the system has no prlimit, none."""
    if not hasattr(resource, "prlimit"):
        return
    limits = {
        resource.RLIMIT_CPU: int(timeout_s) + 1,
        resource.RLIMIT_DATA: MAX_MEMORY_BYTES,  # unlike RLIMIT_AS it leaves mapped libraries alone
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(ProcessLookupError):
        for what, limit in limits.items():
            _, hard = resource.prlimit(pid, what)
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.prlimit(pid, what, (limit, limit))


def _kill(process: subprocess.Popen[bytes], mark: str) -> None:
    """End the group and every marked process; looks again, since a process may fork while it is looked for."""
    for _ in range(20):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        strays = _marked(mark)
        for stray in strays:
            with contextlib.suppress(psutil.Error):
                stray.kill()
        if not strays:
            return
        psutil.wait_procs(strays, timeout=1.0)


def _marked(mark: str) -> list[psutil.Process]:
    needle, found = f"{_MARK}={mark}".encode(), []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if needle in Path(f"/proc/{pid}/environ").read_bytes():
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


class _Output:
    """Reads a pipe to its end in a thread, and keeps its beginning and its end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._head, self._tail, self._left_out = pipe, b"", b"", 0
        self._thread = threading.Thread(target=self._read, name="inspection output", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """After the child's end; waits for the pipe for a second at most."""
        self._thread.join(1.0)
        middle = f"\n… {self._left_out:,} bytes left out …\n".encode() if self._left_out else b""
        return (self._head + middle + self._tail).decode("utf-8", "replace").replace("\0", "␀")

    def _read(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), 1 << 16):
                room = KEPT_OUTPUT_BYTES - len(self._head)
                self._head, rest = self._head + chunk[:room], chunk[room:]
                tail = self._tail + rest
                self._left_out += max(len(tail) - KEPT_OUTPUT_BYTES, 0)
                self._tail = tail[-KEPT_OUTPUT_BYTES:]
