"""Rows and events into a spool: `put` only keeps them, a thread of its own writes; nothing here waits for a network."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer_core.events import EVENT, MEDIA, METRICS, MetricBlock, SpoolWriter, encode_event

log = logging.getLogger("studio.client")
FLUSH_S, FIRST_FLUSH_S, PROGRESS_S, SYNC_S = 0.25, 0.02, 2.0, 2.0
MOST_ROWS = 100_000
MOST_BLOCK_VALUES, MOST_NAME, MOST_NAMES_LETTERS = 1 << 17, 1000, 1 << 19
MOST_COMPLAINTS, MOST_KNOWN = 20, 1000
EXACT = 2**53  # whole numbers up to it are float64 exactly
Row = tuple[float, float, float, dict[str, Any]]


class Recorder:
    """Appends blocks of rows every 250 ms, the first at once.

    `resume_step` says that what earlier attempts logged after it is done again; None derives it from the first row when
    this `goes_on`. On a disk that takes nothing at most MOST_ROWS wait; what comes then is counted, and told once it
    takes something again. Values of a kind that is no number are told and left out.
    """

    def __init__(
        self, spool: Path, *, goes_on: bool = False, resume_step: int | None = None, wrote: Callable[[], None]
    ) -> None:
        self._writer = SpoolWriter(spool)
        #: Where the files lie that records of media name.
        self.media_folder = self._writer.media_folder
        self._rows: deque[Row] = deque()
        self._frames: list[tuple[int, bytes]] = []
        self._lock = threading.Lock()
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._wrote = wrote
        self._goes_on, self._resume_step, self._is_ready = goes_on, resume_step, False
        self._complained: set[str] = set()
        self._known: dict[tuple[Any, ...], tuple[str, ...] | None] = {}
        self._is_stuck, self.lost = False, 0
        self._ending = False
        self._last_step: float | None = None
        self._told: tuple[float, float] | None = None  # step and time of the last progress event
        self._thread = threading.Thread(target=self._run, name="studio-recorder", daemon=True)
        self._thread.start()

    def put(self, row: Row) -> None:
        """Keep (step, epoch, time, values); the values may be numbers or tensors that nobody changes any more."""
        rows = self._rows
        rows.append(row)
        size = len(rows)
        if size == 1:
            self._wake.set()
        elif size > MOST_ROWS:
            self._hold_back()

    def _hold_back(self) -> None:
        """The disk is slower than the caller: wait for it while it takes anything, else leave the newest out."""
        self._hurry.set()
        while len(self._rows) > MOST_ROWS and not self._is_stuck and not self._ending:
            time.sleep(0.005)
        while len(self._rows) > MOST_ROWS:
            self._rows.pop()
            self.lost += 1

    def event(self, kind: str, /, **fields: Any) -> None:
        """Behind all that was put so far."""
        self._append(EVENT, encode_event(kind, {"t": time.time(), **fields}))

    def media(self, record: bytes) -> None:
        """The record of media whose files are there, behind all that was put so far."""
        self._append(MEDIA, record)

    def _append(self, kind: int, payload: bytes) -> None:
        with self._lock:
            self._take_rows()
            self._frames.append((kind, payload))
            self._write()
        self._wrote()

    def tell(self, about: str, words: str) -> None:
        """Say once, here and on the page of the run, what could not be taken."""
        with self._lock:
            self._complain(about, words)
        self._wake.set()

    def _complain(self, about: str, words: str) -> None:
        if about not in self._complained and len(self._complained) < MOST_COMPLAINTS:
            self._complained.add(about)
            log.warning("%s", words)
            self._frames.append((EVENT, encode_event("notice", {"t": time.time(), "level": "warning", "text": words})))

    def close(self, **done: Any) -> bool:
        """Write all that waits and, with any fields, the event `done`; False when the disk does not take it."""
        self._ending = True
        self._hurry.set()
        self._wake.set()
        self._thread.join(5.0)
        with self._lock:
            self._take_rows()
            self._tell_progress(at_once=True)
            if done:
                self._frames.append((EVENT, encode_event("done", {"t": time.time(), **done})))
            is_whole = self._write()
            try:
                self._writer.sync()
            except OSError:
                is_whole = False
            self._writer.close()
        self._wrote()
        return is_whole

    def _run(self) -> None:
        wait, next_sync = FIRST_FLUSH_S, 0.0
        while not self._ending:
            self._wake.wait(FLUSH_S if self._frames else None)
            self._hurry.wait(wait)
            self._wake.clear()
            self._hurry.clear()
            try:
                with self._lock:
                    took = self._take_rows()
                    self._tell_progress()
                    if self._write() and time.monotonic() >= next_sync:
                        self._writer.sync()
                        next_sync = time.monotonic() + SYNC_S
            except Exception:  # the program goes on, whatever it is
                log.exception("what was logged could not be written")
                took = True
            wait = FLUSH_S if took else wait
            self._wrote()

    def _write(self) -> bool:
        """Append what waits; False while the disk does not take it, and then it goes on waiting."""
        if self._frames:
            try:
                self._writer.write(*self._frames)
            except OSError as error:
                if not self._is_stuck:
                    log.warning("The disk does not take what is logged (%s); up to %d rows wait.", error, MOST_ROWS)
                self._is_stuck = True
                return False
            self._frames = []
            if self._is_stuck:
                self._is_stuck = False
                if self.lost:
                    words = f"{self.lost} rows were left out, as the disk was full."
                    self._complained.discard("disk")
                    self._complain("disk", words)
                    self.lost = 0
        return True

    def _tell_progress(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if (
            self._last_step is None
            or self._is_stuck
            or (self._told and now - self._told[1] < PROGRESS_S and not at_once)
        ):
            return
        if self._told is None or self._told[0] != self._last_step:
            rate = (self._last_step - self._told[0]) / (now - self._told[1]) if self._told else None
            fields = {"t": time.time(), "step": int(self._last_step), "steps_per_s": rate if rate != 0 else None}
            self._frames.append((EVENT, encode_event("progress", fields)))
        self._told = (self._last_step, now)

    def _take_rows(self) -> bool:
        """Turn the rows into blocks of the same names; False when there is none. While the disk is full they stay."""
        count = 0 if self._is_stuck and self._frames else len(self._rows)
        if not count:
            return False
        if not self._is_ready:
            self._is_ready = True
            first = self._rows[0][0]
            after = self._resume_step if self._resume_step is not None else int(first) - 1 if self._goes_on else 0
            self._frames.append((EVENT, encode_event("ready", {"t": self._rows[0][2], "resume_step": after})))
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for _ in range(count):
            row = self._rows.popleft()
            groups.setdefault(tuple(row[3]), []).append(row)
        for names, rows in groups.items():
            self._last_step = rows[-1][0]
            for part, lines in self._lines(names, rows):
                self._frames += frames_of_rows(part, lines)
        return True

    def _lines(self, names: tuple[Any, ...], rows: Sequence[Row]) -> Any:
        """(names, rows of numbers); values that are none go, and their rows become rows of fewer names."""
        keys = self._checked(names)
        if keys is not None:
            try:
                values = [v for row in rows for v in row[3].values()]
                if any(type(v) is int and not -EXACT <= v <= EXACT for v in values):
                    words = "Whole numbers above 2^53 are kept as the nearest number that a float64 can be."
                    self._complain("whole numbers", words)
                flat = numbers(values)
            except (TypeError, ValueError, OverflowError, RuntimeError):
                pass  # found one by one below
            else:
                width = len(names)
                yield keys, [(*row[:3], flat[i * width : (i + 1) * width]) for i, row in enumerate(rows)]
                return
        for row in rows:
            good = {k[0]: number for name in names if (k := self._checked((name,))) for number in self._one(k[0], row)}
            if good:
                yield tuple(good), [(*row[:3], list(good.values()))]

    def _one(self, name: str, row: Row) -> list[float]:
        value = next(v for k, v in row[3].items() if str(k) == name)
        try:
            return numbers([value])
        except (TypeError, ValueError, OverflowError, RuntimeError):
            given = value if isinstance(value, NoNumber) else NoNumber(value)
            words = f"{name}: got {given.kind} {given.text}, a metric is one number; it is left out."
            self._complain(f"value {name}", words)
            return []

    def _checked(self, names: tuple[Any, ...]) -> tuple[str, ...] | None:
        """The names as text; None when one of them cannot be kept."""
        if names not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            found = tuple(str(name) for name in names)
            wrong = [name for name in found if problem_of(name)]
            for name in wrong:
                self._complain(f"name {name[:100]}", f"The metric {name[:100]!r} is left out: {problem_of(name)}.")
            self._known[names] = None if wrong else found
        return self._known[names]


def frames_of_rows(names: Sequence[str], lines: Sequence[Any]) -> list[tuple[int, bytes]]:
    """Blocks of bounded size: at most about 1 MB of values, and 0.5 MB of names."""
    frames = []
    for lo, hi in _parts(names):
        step = max(1, MOST_BLOCK_VALUES // (3 + hi - lo))
        for at in range(0, len(lines), step):
            rows = [(s, e, t, v[lo:hi]) for s, e, t, v in lines[at : at + step]]
            frames.append((METRICS, MetricBlock.from_rows(names[lo:hi], rows).encode()))
    return frames


def _parts(names: Sequence[str]) -> list[tuple[int, int]]:
    parts, start, letters = [], 0, 0
    for i, name in enumerate(names):
        letters += len(name) + 4
        if letters > MOST_NAMES_LETTERS:
            parts.append((start, i))
            start, letters = i, len(name) + 4
    return [*parts, (start, len(names))] if start < len(names) else parts


def problem_of(name: str) -> str:
    """Why a metric cannot have this name; empty when it can."""
    if not name:
        return "it has no name"
    if len(name) > MOST_NAME:
        return f"its name has {len(name)} letters, at most {MOST_NAME} are allowed"
    if "\0" in name:
        return "its name has a zero byte"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is no valid text"
    return ""


def numbers(values: Sequence[Any]) -> list[float]:
    """float64 of numbers and of tensors with one value; those on a GPU come over in one copy."""
    torch = sys.modules.get("torch")
    on_gpu = [i for i, v in enumerate(values) if getattr(v, "is_cuda", False)] if torch is not None else []
    if not on_gpu:
        return [float(v) for v in values]
    assert torch is not None
    with torch.inference_mode():
        flat = torch.stack([values[i].reshape(()).to(values[on_gpu[0]].device, torch.float64) for i in on_gpu]).tolist()
    found = dict(zip(on_gpu, flat, strict=True))
    return [found[i] if i in found else float(v) for i, v in enumerate(values)]


class NoNumber:
    """Stands for a value that is none; the thread tells of it."""

    def __init__(self, value: Any) -> None:
        self.kind, self.text = type(value).__name__, repr(value)[:60]


def plain(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Values that do not change any more when the caller goes on: numbers at once, a GPU's as a copy there."""
    kept = {}
    for name, value in values.items():
        if getattr(value, "is_cuda", False):
            value = value.detach().clone()
        elif not isinstance(value, str | bytes):
            try:
                value = float(value)
            except (TypeError, ValueError, OverflowError, RuntimeError):
                value = NoNumber(value)
        else:
            value = NoNumber(value)
        kept[name] = value
    return kept


def is_exact(step: float) -> bool:
    return math.isfinite(step) and abs(step) <= EXACT
