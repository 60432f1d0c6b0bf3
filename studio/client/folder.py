"""What a logged run has on disk: `run.json`, and for each start of its program `a1/`, `a2/`, … with a spool.

<folder>/run.json       key, project, name, config, …; later the run's id. Never the token
<folder>/a1/spool.json  the key of the spool, the machine
<folder>/a1/spool/      segments, see trainer_core.events
<folder>/writer.lock    held by the program that logs;  sender.lock  by whoever sends
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from trainer_core.errors import SpoolError
from trainer_core.events import EVENT, METRICS, Position, SpoolWriter, encode_event, read_spool

Values = dict[str, Any]


class InUse(Exception):
    """Another process holds the lock."""


class AttemptFolder:
    """One start of the program."""

    def __init__(self, path: Path) -> None:
        self.path, self.spool = path, path / "spool"
        told = json.loads((path / "spool.json").read_text(encoding="utf-8"))
        self.key: str = told["key"]
        self.host: Values = told["host"]
        self.started: float | None = told.get("started")
        self._sent = path / "sent"

    @classmethod
    def create(cls, path: Path, host: Values, started: float, *, key: str = "") -> AttemptFolder:
        path.mkdir(parents=True, mode=0o700)
        write_json(path / "spool.json", {"key": key or uuid.uuid4().hex, "host": host, "started": started})
        return cls(path)

    @property
    def is_sent(self) -> bool:
        """All of it is in the studio, and nothing more comes."""
        return self._sent.exists()

    def mark_sent(self) -> None:
        self._sent.touch()

    @property
    def newest_segment(self) -> int:
        return max((int(p.stem[4:]) for p in self.spool.glob("seg-*.log")), default=1)

    def is_ended(self) -> bool:
        """Whether its last word is there."""
        for segment in (self.newest_segment, self.newest_segment - 1):  # the newest may be empty
            frames = read_spool(self.spool, Position(max(segment, 1), 0), limit_bytes=1 << 62)
            for last in deque(frames, maxlen=1):
                return last.type == EVENT and last.event().get("kind") == "done"
        return False

    @property
    def touched(self) -> float:
        """When something was written last, seconds since 1970."""
        return max((p.stat().st_mtime for p in self.spool.glob("seg-*.log")), default=self.started or 0.0)

    def last_step(self) -> int | None:
        """The largest step that was logged; reads the spool."""
        found = None
        try:
            for frame in read_spool(self.spool, limit_bytes=1 << 62):
                if frame.type == METRICS and len(block := frame.metrics()):
                    found = max(int(max(block.steps)), found if found is not None else -(2**63))
        except SpoolError:
            return found
        return found

    def end(self, **done: Any) -> None:
        """Give the last word for a program that cannot any more."""
        writer = SpoolWriter(self.spool)
        writer.write((EVENT, encode_event("done", done)))
        writer.sync()
        writer.close()


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: Values = json.loads((path / "run.json").read_text(encoding="utf-8"))

    @classmethod
    def create(cls, path: Path, told: Values) -> RunFolder:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(path / "run.json", {"key": uuid.uuid4().hex, **told})
        return cls(path)

    def update(self, **values: Any) -> None:
        self.told |= values
        write_json(self.path / "run.json", self.told)

    def attempts(self) -> list[AttemptFolder]:
        """In their order."""
        numbers = sorted(int(p.name[1:]) for p in self.path.glob("a*") if p.name[1:].isdigit())
        return [AttemptFolder(self.path / f"a{n}") for n in numbers if (self.path / f"a{n}" / "spool.json").exists()]

    def new_attempt(self, host: Values, started: float, *, key: str = "") -> AttemptFolder:
        number = max((int(p.name[1:]) for p in self.path.glob("a*") if p.name[1:].isdigit()), default=0) + 1
        return AttemptFolder.create(self.path / f"a{number}", host, started, key=key)

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold the `writer` or the `sender` lock; InUse when another process does. Ends with the process in any case."""
        file = self.lock(what)
        try:
            yield
        finally:
            file.close()

    def lock(self, what: str, *, wait_s: float = 0.0) -> BinaryIO:
        """The lock, held until it is closed; InUse when another process keeps it for longer than `wait_s`."""
        end = time.monotonic() + wait_s
        file = open(self.path / f"{what}.lock", "ab")  # noqa: SIM115 - the caller closes it
        while True:
            try:
                _lock(file)
                return file
            except OSError as error:
                if time.monotonic() >= end:
                    file.close()
                    raise InUse(f"{self.path} is in use by another process.") from error
                time.sleep(0.05)


def run_folders(folder: Path) -> Iterator[RunFolder]:
    """Those in a folder, the oldest first; the folder itself when it is one."""
    places = [folder] if (folder / "run.json").exists() else sorted(folder.glob("*/"))
    for path in places:
        if (path / "run.json").exists():
            yield RunFolder(path)


def write_json(path: Path, value: Values) -> None:
    """Whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(value, indent=1, default=str), encoding="utf-8")
    os.replace(new, path)


def _lock(file: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
