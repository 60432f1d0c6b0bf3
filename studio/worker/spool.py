"""Takes over what the trainer wrote: spool frames and output, into the database, in order, each once."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.db import DataError, IntegrityError, transaction

from studio.runs import checkpoints, lease
from studio.runs.models import Attempt
from studio.tracking.ingest import check, ingest
from studio.tracking.logs import append_log
from studio.tracking.results import keep_results
from trainer_core.errors import SpoolError
from trainer_core.events import EVENT, METRICS, Frame, MetricBlock, Position, read_spool

log = logging.getLogger(__name__)
LOG_BYTES = 64_000
MOST_COMPLAINTS = 20
FACTS = ("device", "parameters", "max_steps", "max_epochs", "batches", "versions", "host")
PROGRESS = (
    "stage", "epoch", "max_epochs", "step", "max_steps", "batch", "batches", "fraction", "eta_s", "steps_per_s",
    "elapsed_s", "breakdown", "t",
)  # fmt: skip
SAVING = ("unsaved", "saved")
CHECKPOINT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,79}")
# What a record can be that user code may have written: refused, told, and passed over.
BAD_RECORD = (SpoolError, DataError, IntegrityError, KeyError, TypeError, ValueError, AttributeError)

Event = dict[str, Any]


class SpoolReader:
    """Reads one attempt's spool from the position that the database knows.

    Points are stored before the event that follows them, so a checkpoint's row never runs ahead of its points; an event
    and the position behind it are stored in one transaction, so nothing is told twice.
    """

    def __init__(self, attempt: Attempt, run_dir: Path, on_event: Callable[[Event], None]) -> None:
        self._run, self._fence = attempt.run_id, attempt.fence
        self._folder, self.output = run_dir / "spool", run_dir / "output.log"
        self._position = Position(attempt.spool_segment, attempt.spool_offset)
        self._log_at = attempt.log_bytes
        self._on_event = on_event
        self._complaints = 0
        self._place: tuple[Any, ...] = ()
        self._damage: SpoolError | None = None
        self.done: Event | None = None
        self.last_step = 0
        self.progressed = 0  # grows whenever the trainer has done something

    def read(self) -> bool:
        """One pass; True when there was anything. StaleState when the attempt is superseded.

        A pass that the database interrupts (OperationalError) is taken up where the database knows.
        """
        blocks: list[MetricBlock] = []
        end, progress, any_frame = self._position, None, False
        for frame in self._frames():
            any_frame = True
            if frame.type == METRICS:
                blocks += self._decoded(frame)
            elif frame.type == EVENT:
                event = self._event_of(frame)
                if event is not None and event["kind"] == "progress":
                    progress = event  # of several only the newest is news
                elif event is not None:
                    self._store(blocks, end)
                    blocks = []
                    self._take(event, frame.after)
            end = frame.after
        self._store(blocks, end)
        if progress is not None:
            self._take(progress, end)
        if self._damage is not None:
            self._complain(self._damage)
            self._damage = None
            self._store([], Position(end.segment + 1, 0))
            return True
        return any_frame

    def _frames(self) -> Iterator[Frame]:
        try:
            yield from read_spool(self._folder, self._position)
        except SpoolError as error:
            self._damage = error

    def _decoded(self, frame: Frame) -> list[MetricBlock]:
        try:
            block = frame.metrics()
            check(block)
        except BAD_RECORD as error:
            self._complain(error)
            return []
        self.progressed += 1
        if len(block):
            self.last_step = max(self.last_step, int(block.steps[-1]))
        return [block]

    def _event_of(self, frame: Frame) -> Event | None:
        try:
            event = frame.event()
            if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
                raise ValueError("an event without a kind")
        except BAD_RECORD as error:
            self._complain(error)
            return None
        place = tuple(event.get(k) for k in ("kind", "name", "stage", "epoch", "step", "batch"))
        self.progressed += place != self._place
        self._place = place
        if isinstance(step := event.get("step"), int):
            self.last_step = max(self.last_step, step)
        return event

    def _store(self, blocks: list[MetricBlock], position: Position) -> None:
        if position == self._position:
            return
        try:
            ingest(self._run, self._fence, blocks, position)
        except BAD_RECORD as error:
            self._complain(error)
            ingest(self._run, self._fence, [], position)
        self._position = position

    def _take(self, event: Event, position: Position) -> None:
        if event["kind"] == "done":
            self.done = event
        try:
            with transaction.atomic():
                self._on_event(event)
                ingest(self._run, self._fence, [], position)
        except BAD_RECORD as error:
            self._complain(error)
            ingest(self._run, self._fence, [], position)
        self._position = max(self._position, position)

    def _complain(self, error: Exception) -> None:
        """A record that cannot be read is told on the run's page, and reading goes on."""
        self._complaints += 1
        log.warning("spool of run %s attempt %s: %s", self._run, self._fence, error)
        if self._complaints <= MOST_COMPLAINTS:
            text = f"Something that the run reported could not be read and was left out: {error}"
            lease.note(self._run, self._fence, "notice", clean(text), by="worker")

    def read_output(self) -> bool:
        """Store the next piece of the log; True when there was any."""
        try:
            with open(self.output, "rb") as file:
                file.seek(self._log_at)
                data = file.read(LOG_BYTES)
        except FileNotFoundError:
            return False
        if not data:
            return False
        if len(data) == LOG_BYTES and (cut := data.rfind(b"\n")) > 0:
            data = data[: cut + 1]
        append_log(self._run, self._fence, self._log_at, data)
        self._log_at += len(data)
        return True


def event_handler(run_pk: int, fence: int) -> Callable[[Event], None]:
    """What each event does to the run's rows. ValueError, KeyError or TypeError for one that does not fit."""

    def handle(event: Event) -> None:
        kind = event["kind"]
        if kind == "ready":
            facts = {k: event[k] for k in FACTS if k in event}
            lease.ready(run_pk, fence, int(event.get("resume_step") or 0), facts=facts)
        elif kind == "checkpoint":
            if not CHECKPOINT_NAME.fullmatch(str(event["name"])):
                raise ValueError(f"a checkpoint with the name {event['name']!r}")
            checkpoints.commit_checkpoint(run_pk, fence, event)
        elif kind == "results":
            keep_results(run_pk, fence, event)
        elif kind == "notice":
            about = event.get("about")
            lease.note(run_pk, fence, about if about in SAVING else "notice", clean(str(event.get("text", ""))))
        elif kind == "phase":
            lease.report_progress(run_pk, fence, {"phase": clean(str(event.get("name", "")))[:200], "stage": "setup"})
        elif kind == "progress":
            lease.report_progress(run_pk, fence, {k: event[k] for k in PROGRESS if k in event})

    return handle


def clean(text: str) -> str:
    """Without the character that PostgreSQL refuses."""
    return text.replace("\0", "\ufffd")


def write_run_dir(folder: Path, spec: str, attempt: dict[str, Any]) -> None:
    """`spec.json` and `attempt.json`, private to this user."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in (("spec.json", spec), ("attempt.json", json.dumps(attempt))):
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
