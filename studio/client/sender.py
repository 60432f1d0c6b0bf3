"""Sends the spools of a run's folder to the studio, which says how far it has them; so each frame arrives once."""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable

from studio.client.connection import Connection
from studio.client.errors import NotReached, StudioError
from studio.client.folder import AttemptFolder, RunFolder
from studio.client.media_files import bring_files, portion_of
from studio.client.projects import Projects
from trainer_core.events import HEAD, Position, segment_path

log = logging.getLogger("studio.client")
PIECE_BYTES = 4 << 20
TRIES = 3


class Refused(StudioError):
    """The studio takes no more of this run, and trying again does not help."""


class Sender:
    """Sends what a folder holds, attempt by attempt. StudioError and NotReached leave it where it was.

    `again` begins also with a run that was cancelled in the studio; one that is cancelled later is left alone.
    """

    def __init__(self, connection: Connection, folder: RunFolder, *, again: bool = False) -> None:
        self.folder, self._connection, self._again = folder, connection, again
        self._attempt: AttemptFolder | None = None
        self._fence, self._at = 0, Position(1, 0)
        self.heard = 0.0  # when the studio answered last, by the monotonic clock
        self.lease_s = 60.0
        self.state = ""
        self.sent_bytes = 0

    def send(self, *, may_end: Callable[[AttemptFolder], bool] = AttemptFolder.is_ended) -> bool:
        """Everything that is there now; True when all attempts are there to their last word."""
        for attempt in self.folder.attempts():
            if attempt.is_sent:
                continue
            self._send_attempt(attempt)
            if not may_end(attempt):
                return False
            self._send_attempt(attempt)  # what was written between the two
            attempt.mark_sent()
        return True

    def beat(self) -> None:
        """Say that the program lives, when nothing was said for a while."""
        if self._attempt is not None and time.monotonic() - self.heard > self.lease_s / 6:
            self._put(b"")

    def _send_attempt(self, attempt: AttemptFolder) -> None:
        in_vain = 0
        if self._attempt is None or self._attempt.key != attempt.key:
            self._open(attempt)
        while (piece := self._next_piece(attempt)) is not None:
            before = self._at
            self._put(self._with_files(attempt, piece))
            in_vain = 0 if self._at > before else in_vain + 1
            if in_vain > TRIES:
                raise Refused(f"The studio takes no more of {self.folder.path}: the run is {self.state}.")

    def _with_files(self, attempt: AttemptFolder, piece: bytes) -> bytes:
        """What of the piece goes next; the files that it names are in the studio then, or told to be missing."""
        portion, files = portion_of(piece, self._at)
        if files:
            try:
                self.sent_bytes += bring_files(
                    self._connection, self.run_id(), self._fence, attempt.spool.parent / "media", files
                )
                self.heard = time.monotonic()
            except StudioError as error:
                if error.code not in ("conflict", "too_much"):  # the record itself brings it to light
                    raise _final(error) from None
        return portion

    def _next_piece(self, attempt: AttemptFolder) -> bytes | None:
        """The next whole frames; None when there are no more yet. Goes to the next segment when one ends."""
        while True:
            piece = _whole_frames(attempt, self._at)
            if piece:
                return piece
            if self._at.segment >= attempt.newest_segment:
                return None
            self._at = Position(self._at.segment + 1, 0)

    def _open(self, attempt: AttemptFolder) -> None:
        given = {"spool": attempt.key, "host": attempt.host, "started": attempt.started, "again": self._again}
        try:
            told = self._connection.create(f"/external-runs/{self.run_id()}/attempts", given)
        except StudioError as error:
            if error.code == "conflict":
                self.state = self._connection.get(f"/runs/{self.run_id()}")["state"]
            raise _final(error) from None
        self._attempt, self._fence, self._again = attempt, told["attempt"], False
        self._at = Position(told["segment"], told["offset"])
        self.lease_s, self.state, self.heard = told["lease_s"], told["state"], time.monotonic()

    def run_id(self) -> int:
        """Of the run in the studio, which is made now if it is not there."""
        told = self.folder.told
        if told.get("id") is None:
            try:
                given = {
                    "project": Projects(self._connection).id_of(told["project"]),
                    **{k: told[k] for k in ("key", "name", "config", "tags", "note", "started")},
                }
                made = self._connection.create("/external-runs", given)
            except StudioError as error:
                raise _final(error) from None
            self.folder.update(id=made["id"], page=made["url"])
        return int(self.folder.told["id"])

    def _put(self, piece: bytes) -> None:
        """Send it, and note how far the studio is. A lease that was lost is taken again."""
        place = {"attempt": self._fence, "segment": self._at.segment, "offset": self._at.offset}
        try:
            told = self._connection.put(f"/external-runs/{self.run_id()}/spool", piece, headers={}, **place)
        except StudioError as error:
            if error.code == "conflict" and self._attempt is not None:
                self._open(self._attempt)
            elif error.code == "damaged" and self._attempt is not None:
                self._skip(self._attempt)
            else:
                raise _final(error) from None
            return
        self.heard, self.state = time.monotonic(), told["state"]
        stored = Position(told["segment"], told["offset"])
        is_new = stored > self._at
        if piece:
            self.sent_bytes += len(piece) if is_new else 0
            self._at = stored
        if not told["is_held"] and not is_new and self._attempt is not None:
            self._open(self._attempt)

    def _skip(self, attempt: AttemptFolder) -> None:
        """Leave out the rest of a segment that is damaged on this disk."""
        log.warning("%s is damaged; the rest of it is left out.", segment_path(attempt.spool, self._at.segment))
        if self._at.segment >= attempt.newest_segment:
            raise Refused(f"The spool in {attempt.path} is damaged.")
        self._at = Position(self._at.segment + 1, 0)


def _final(error: StudioError) -> StudioError:
    """The same as Refused when another try cannot help."""
    is_of_network = isinstance(error, NotReached) or (error.status == 0 and not error.code)
    if is_of_network or isinstance(error, Refused) or error.status in (408, 429) or error.status >= 500:
        return error
    return Refused(str(error), status=error.status, code=error.code)


def _whole_frames(attempt: AttemptFolder, at: Position) -> bytes:
    try:
        with open(segment_path(attempt.spool, at.segment), "rb") as file:
            file.seek(at.offset)
            data = file.read(PIECE_BYTES)
            end = _end_of_frames(data)
            if not end and len(data) == PIECE_BYTES:  # one frame that is larger
                data += file.read(HEAD.unpack_from(data)[0] + HEAD.size - len(data))
                end = _end_of_frames(data)
    except FileNotFoundError:
        return b""
    return data[:end]


def _end_of_frames(data: bytes) -> int:
    end, size = 0, len(data)
    length = struct.Struct("<I")
    while end + HEAD.size <= size:
        after = end + HEAD.size + length.unpack_from(data, end)[0]
        if after > size:
            break
        end = after
    return end
