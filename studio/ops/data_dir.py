"""The data directory: private to its owner, and used by one `up` at a time."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.conf import settings


class DataDirError(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class AlreadyRunning(DataDirError):
    """Another `up` holds the data directory."""


def make_private() -> None:
    """Make the data directory and its parts, 0700."""
    parts = (settings.DATA_DIR, settings.RUNS_DIR, settings.BLOBS_DIR, settings.UPLOADS_DIR, settings.STATIC_ROOT)
    try:
        for path in (*parts, logs_dir()):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.DATA_DIR.stat().st_mode & 0o077:
            settings.DATA_DIR.chmod(0o700)
    except OSError as error:
        raise _unusable(error) from error


def logs_dir() -> Path:
    return Path(settings.DATA_DIR) / "logs"


@contextmanager
def exclusively(purpose: str) -> Iterator[Lock]:
    """Hold the data directory; AlreadyRunning if somebody else does. A lock of a dead process holds nobody up."""
    try:
        fd = os.open(_lock_path(), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(error) from error
    with os.fdopen(fd, "r+", encoding="utf-8") as file:
        _take(file)
        lock = Lock(file.fileno())
        lock.tell(purpose=purpose)
        try:
            yield lock
        finally:
            os.ftruncate(file.fileno(), 0)


def _take(file: IO[str]) -> None:
    """Lock the file; tries for a moment, since a glance of `holder` shares the lock for an instant."""
    for pause_s in (0.02, 0.05, 0.1, None):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if pause_s is None:
                raise AlreadyRunning(_who_holds(holder())) from error
            time.sleep(pause_s)


class Lock:
    """The held lock; what it tells can be read by others through `holder`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._told: dict[str, Any] = {"pid": os.getpid()}

    def tell(self, **facts: Any) -> None:
        self._told |= facts
        data = json.dumps(self._told).encode()
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))


def holder() -> dict[str, Any]:
    """What the process that holds the data directory told (`pid`, `purpose`, `url`); empty if nobody holds it."""
    try:
        with _lock_path().open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return dict(json.loads(file.read() or "{}")) or {"pid": None}
    except (OSError, ValueError):
        pass
    return {}


def _lock_path() -> Path:
    return Path(settings.DATA_DIR) / "up.lock"


def _who_holds(facts: dict[str, Any]) -> str:
    what = f"The studio already runs at {facts['url']}" if facts.get("url") else "Another command is at work"
    return (
        f"{what} with the data directory {settings.DATA_DIR} (process {facts.get('pid', 'unknown')}). "
        "Stop it first, or choose another with --data-dir."
    )


def _unusable(error: OSError) -> DataDirError:
    return DataDirError(
        f"The data directory {settings.DATA_DIR} cannot be used: {error.strerror}. Choose another with --data-dir."
    )


def up_command() -> str:
    """How to start the studio of this data directory."""
    usual = Path(settings.BASE_DIR) / "data" == Path(settings.DATA_DIR)
    return "python manage.py up" if usual else f"python manage.py up --data-dir {shlex.quote(str(settings.DATA_DIR))}"
