"""Takes frames of an attempt's spool into the database, in order, each once, wherever the spool lies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.db import DataError, IntegrityError, transaction

from studio.runs import lease
from studio.runs.models import Attempt
from studio.tracking import media
from studio.tracking.ingest import check, ingest
from trainer_core.errors import SpoolError
from trainer_core.events import EVENT, MEDIA, METRICS, Frame, MetricBlock, Position

log = logging.getLogger(__name__)
MOST_COMPLAINTS = 20
# What a record can be that user code may have written: refused, told, and passed over.
BAD_RECORD = (SpoolError, DataError, IntegrityError, KeyError, TypeError, ValueError, AttributeError)

Event = dict[str, Any]


class Intake:
    """Takes an attempt's frames from the position that the database knows.

    Points are stored before the event that follows them, so a checkpoint's row never runs ahead of its points; an event
    and the position behind it are stored in one transaction, so nothing is told twice. `media_folder` is where the files
    of media lie that frames name.
    """

    def __init__(self, attempt: Attempt, on_event: Callable[[Event], None], media_folder: Path | None = None) -> None:
        self._run, self._fence = attempt.run_id, attempt.fence
        self.position = Position(attempt.spool_segment, attempt.spool_offset)
        self._on_event = on_event
        self._media_folder, self._told_too_much = media_folder, False
        self._complaints = 0
        self._place: tuple[Any, ...] = ()
        self.done: Event | None = None
        self.last_step = 0
        self.progressed = 0  # grows whenever the trainer has done something

    def take(self, frames: Iterable[Frame]) -> bool:
        """Store frames that begin at `position`; True when there was any. StaleState when the attempt is superseded."""
        blocks: list[MetricBlock] = []
        end, progress, any_frame = self.position, None, False
        for frame in frames:
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
            elif frame.type == MEDIA:
                self._store(blocks, end)
                blocks = []
                self._take_media(frame)
            end = frame.after
        self._store(blocks, end)
        if progress is not None:
            self._take(progress, end)
        return any_frame

    def go_to(self, position: Position) -> None:
        """Go on from there: what lies between is damaged, or there is nothing."""
        self._store([], position)

    def complain(self, error: Exception) -> None:
        """A record that cannot be read is told on the run's page, and reading goes on."""
        self._complaints += 1
        log.warning("spool of run %s attempt %s: %s", self._run, self._fence, error)
        if self._complaints <= MOST_COMPLAINTS:
            text = f"Something that the run reported could not be read and was left out: {error}"
            lease.note(self._run, self._fence, "notice", clean(text), by="worker")

    def _decoded(self, frame: Frame) -> list[MetricBlock]:
        try:
            block = frame.metrics()
            check(block)
        except BAD_RECORD as error:
            self.complain(error)
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
            self.complain(error)
            return None
        place = tuple(event.get(k) for k in ("kind", "name", "stage", "epoch", "step", "batch"))
        self.progressed += place != self._place
        self._place = place
        if isinstance(step := event.get("step"), int):
            self.last_step = max(self.last_step, step)
        return event

    def _store(self, blocks: list[MetricBlock], position: Position) -> None:
        if position == self.position:
            return
        try:
            ingest(self._run, self._fence, blocks, position)
        except BAD_RECORD as error:
            self.complain(error)
            ingest(self._run, self._fence, [], position)
        self.position = position

    def _take(self, event: Event, position: Position) -> None:
        if event["kind"] == "done":
            self.done = event
        try:
            with transaction.atomic():
                self._on_event(event)
                ingest(self._run, self._fence, [], position)
        except BAD_RECORD as error:
            self.complain(error)
            ingest(self._run, self._fence, [], position)
        self.position = max(self.position, position)

    def _take_media(self, frame: Frame) -> None:
        """Bytes first, then rows and position in one transaction, then the file goes: a kill between changes nothing."""
        record, folder = None, self._media_folder
        try:
            record = media.read_record(frame.payload)
            media.check_room(self._run, record)
            media.adopt(self._run, folder, record)
            with transaction.atomic():
                media.keep_media(self._run, self._fence, record, frame.after)
                ingest(self._run, self._fence, [], frame.after)
            self.progressed += 1
        except media.TooMuchMedia as error:
            if not self._told_too_much:
                self._told_too_much = True
                lease.note_once(self._run, self._fence, str(error), by="worker")
            ingest(self._run, self._fence, [], frame.after)
        except BAD_RECORD as error:
            self.complain(error)
            ingest(self._run, self._fence, [], frame.after)
        if record is not None and folder is not None:
            media.forget_files(folder, record)
        self.position = max(self.position, frame.after)


def clean(text: str) -> str:
    """Without the character that PostgreSQL refuses."""
    return text.replace("\0", "\ufffd")
