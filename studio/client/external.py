"""Log a run from a program that runs anywhere: `init`, `log`, `finish`. What is logged is on this disk first."""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from studio.client.account import connect
from studio.client.folder import RunFolder, Values
from studio.client.machine import host_facts
from studio.client.media import Media, MediaCalls, MediaLog
from studio.client.recorder import NoNumber, Recorder, is_exact, plain
from studio.client.sender import Sender
from studio.client.sending import Sending
from studio.client.sync import DIED, sync_others

log = logging.getLogger("studio.client")
PLAIN = frozenset((float, int))
FOLDER = "studio-runs"
_live: weakref.WeakSet[ExternalRun] = weakref.WeakSet()


def init(
    project: str | int | None = None,
    name: str = "",
    *,
    config: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    note: str = "",
    url: str | None = None,
    token: str | None = None,
    folder: str | Path = FOLDER,
    offline: bool = False,
    resume: str | Path | ExternalRun | None = None,
    resume_step: int | None = None,
) -> ExternalRun:
    """Begin a run of `project` (its name or id), or go on with the one in the folder `resume`.

    `url` and `token` default to STUDIO_URL and STUDIO_TOKEN; without them, or `offline`, all stays below `folder` until
    `python -m studio.client sync`. What earlier starts of a resumed run logged after `resume_step`, or from the first
    step that is logged now on, counts as done again. Unsent runs below `folder` are sent in the background.

    ValueError for what does not fit, such as a missing project; nothing about the network is raised, ever.
    """
    connection = None if offline else connect(url, token)
    if resume is None:
        if project is None:
            raise ValueError("project: give the name or the id of a project of the studio.")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        word = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:40] or "run"
        path = Path(folder) / f"{stamp}-{word}-{os.urandom(3).hex()}"
        told = {
            "project": project, "name": name[:120], "config": plain_config(config or {}), "tags": [str(t) for t in tags],
            "note": note, "started": time.time(), "url": connection.url if connection else None,
        }  # fmt: skip
        where = RunFolder.create(path, told)
    else:
        where = RunFolder(Path(resume.folder if isinstance(resume, ExternalRun) else resume))
    run = ExternalRun(where, Sending(Sender(connection, where, again=True)) if connection else None, resume_step)
    if resume is not None and config:
        run.configure(config)
    if connection:
        sync_others(connection, where.path)
    return run


class ExternalRun(MediaCalls):
    """A run that this program logs. `log` never waits for the network and raises nothing for it.

    So it is with `log_image`, `log_histogram`, `log_table`, `log_text`, `log_audio`, `log_confusion_matrix` and
    `log_figure`; without a `step` they take the last one that was logged.
    """

    shows_media = True

    def __init__(self, where: RunFolder, sending: Sending | None, resume_step: int | None = None) -> None:
        self._where, self._sending = where, sending
        self._lock = where.lock("writer", wait_s=10.0)
        earlier = where.attempts()
        for attempt in earlier:
            if not attempt.is_sent and not attempt.is_ended():
                attempt.end(t=time.time(), **DIED)
        last = max((s for a in earlier if (s := a.last_step()) is not None), default=-1)
        attempt = where.new_attempt(host_facts(), time.time())
        self._next: float = last + 1 if resume_step is None else resume_step + 1
        self._recorder = Recorder(
            attempt.spool, goes_on=bool(earlier), resume_step=resume_step, wrote=sending.wake if sending else _nothing
        )
        self._put = self._recorder.put
        self._media = MediaLog(self._recorder)
        self._is_open, self._was_told = True, False
        self._closing = threading.Lock()
        if sending:
            sending.start(attempt)
        _live.add(self)

    def __repr__(self) -> str:
        return f"ExternalRun({str(self._where.path)!r})"

    @property
    def folder(self) -> Path:
        """Where what is logged is kept; `init(resume=…)` takes it."""
        return self._where.path

    @property
    def id(self) -> int | None:
        """Of the run in the studio; None until it is there."""
        return self._where.told.get("id")

    @property
    def page(self) -> str | None:
        """Address of the run's page; None until it is there."""
        return self._where.told.get("page")

    @property
    def name(self) -> str:
        return str(self._where.told["name"])

    @property
    def stop_asked(self) -> bool:
        """Whether somebody pressed Cancel in the studio: save what you need and end, with `finish("cancelled")`."""
        return self._sending is not None and self._sending.state in ("cancelling", "cancelled")

    def log(self, metrics: Mapping[str, Any], step: float | None = None, *, epoch: float = 0.0) -> None:
        """Keep numbers at a step, by default the one after the last. NaN and infinities are values like any other.

        Costs about a microsecond for ten numbers. What is no number is told once, on the page too, and left out.
        """
        if step is None:
            step = self._next
        values: dict[Any, Any] = dict(metrics)
        for value in values.values():
            if type(value) not in PLAIN:
                values = plain(values)
                break
        if self._is_open and type(step) in PLAIN and -9e15 < step < 9e15:
            self._next = step + 1
            self._put((step, epoch, time.time(), values))
        elif self._is_open:
            self._put_odd(step, epoch, values)
        else:
            self._tell_late()

    def log_media(self, media: Media, step: int | None = None) -> None:
        """Keep it; costs a copy, and waits only when very much waits to be encoded."""
        if self._is_open:
            last = self._next - 1
            self._media.put(media, step=last if step is None else step, at=last)
        else:
            self._tell_late()

    def _tell_late(self) -> None:
        if not self._was_told:
            self._was_told = True
            log.warning("What is logged after the end of a run, or in a forked process, is left out.")

    def _put_odd(self, step: Any, epoch: float, values: dict[Any, Any]) -> None:
        try:
            number = float(step)
            if not is_exact(number):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            given = NoNumber(step)
            words = f"step: got {given.kind} {given.text}, allowed is a number up to 2^53; it is left out."
            self._recorder.tell(f"step {given.kind}", words)
        else:
            self._next = number + 1
            self._put((number, epoch, time.time(), values))

    def configure(self, config: Mapping[str, Any]) -> None:
        """Add to the config of the run."""
        if self._is_open:
            self._recorder.event("config", config=plain_config(config))

    def notice(self, text: str) -> None:
        """Write a line into the run's history."""
        if self._is_open:
            self._recorder.event("notice", level="info", text=text[:4000])

    def finish(self, outcome: str = "ok", reason: str = "", *, detail: str = "", timeout_s: float = 60.0) -> bool:
        """End the run: `ok`, `user_error`, `nan_stop` or `cancelled`. True when all of it is in the studio.

        Waits at most `timeout_s` for the studio; what is not there then stays in the folder, for the next start or
        `python -m studio.client sync`.
        """
        with self._closing:
            if not self._is_open:
                return self._sending is not None and self._sending.is_done
            self._is_open = False
        self._media.drain()
        last = f" Its last step was {self._next - 1:g}." if self._next else ""
        self._recorder.close(outcome=outcome, reason=reason or f"It ended.{last}", traceback=detail)
        self._lock.close()
        _live.discard(self)
        if self._sending is None:
            log.warning("Kept in %s; send it with: python -m studio.client sync %s", self.folder, self.folder)
            return False
        if self._sending.finish(timeout_s):
            return True
        log.warning("The studio has not got all of it yet. Kept in %s; the next start sends it, or: "
                    "python -m studio.client sync %s", self.folder, self.folder)  # fmt: skip
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(*ending_of(error), detail="".join(traceback.format_exception(error)) if error else "")

    def _leave(self) -> None:
        """In a forked process: the thread that writes is not here, and the lock is the parent's alone."""
        self._is_open = False
        self._lock.close()


def ending_of(error: BaseException | None) -> tuple[str, str]:
    """Outcome and reason of a program that ends with this exception."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "ok", ""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled", "It was interrupted at its keyboard."
    return "user_error", traceback.format_exception_only(error)[-1].strip()[:2000]


def plain_config(config: Mapping[str, Any]) -> Values:
    """As JSON can hold it: paths, numpy numbers, classes and the like become numbers or text."""
    return {str(key): _plain(value) for key, value in config.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping):
        return plain_config(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return _plain(value.item())
    return str(value)[:1000]


def _nothing() -> None:
    """Nobody sends."""


def _end_all() -> None:
    """At the end of the program: as its last exception says."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if hasattr(sys, "ps1"):  # a session at a prompt: an error of long ago says nothing
        error = None
    for run in list(_live):
        detail = "".join(traceback.format_exception(error)) if error is not None else ""
        run.finish(*ending_of(error), detail=detail, timeout_s=20.0)


def _in_child() -> None:
    for run in list(_live):
        run._leave()
    _live.clear()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
