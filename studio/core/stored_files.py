"""A file that the object store alone has, read in pieces while somebody is sent it, and verified by the way.

What is read from beginning to end is compared with its sha256 before its last piece is given, so that wrong bytes are
never handed out whole; right ones stay as this machine's copy. A range is read as such, and verified by whoever puts it
together. An object that was found wrong is given in no ranges any more until it was right once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import BinaryIO

from django.conf import settings

from studio.core.objects import ObjectDamaged, store

log = logging.getLogger(__name__)
SMALL_BYTES = 4 << 20  # fetched whole, which takes a moment, and so verified whatever is asked for
FIRST_BYTES, PIECE_BYTES = 256 << 10, 4 << 20
FREE_MARGIN_BYTES = 1 << 30
WRONG = "objects-wrong"
_copying: set[str] = set()
_copying_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class Copy:
    """Where the bytes go meanwhile; `settle` gives them their name once they are right, `drop` removes what is left."""

    path: Path
    settle: Callable[[], None]
    drop: Callable[[], None]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`size_bytes` and `sha256` as the row has them; `copy` begins this machine's copy."""

    key: str
    size_bytes: int
    sha256: str
    copy: Callable[[], Copy] | None = None

    def reading(self, start: int, end: int) -> Reading:
        """The bytes from `start` to `end`; one request. StoreError when they cannot be had."""
        is_whole = (start, end) == (0, self.size_bytes)
        if not is_whole and _mark_of(self).exists():
            raise ObjectDamaged(f"The object store had other bytes of {self.key} than were committed.")
        return Reading(self, start, end, is_whole=is_whole)


class Reading:
    """Calls come one after another, from whichever thread; `close` may come at any time."""

    def __init__(self, file: StoredFile, start: int, end: int, *, is_whole: bool) -> None:
        self._file, self._at, self._end = file, start, end
        self._digest = hashlib.sha256() if is_whole else None
        self._copying: _Copying | None = None
        self._turn, self._is_closed = threading.Lock(), False
        self._first = self._read(FIRST_BYTES, is_first=True)
        if is_whole and self._at < end:
            self._copying = _Copying.begun(file, self._first)

    def next_piece(self) -> bytes:
        """Empty at the end. StoreError when it cannot be had, ObjectDamaged in place of the last one of wrong bytes."""
        with self._turn:
            if self._first:
                found, self._first = self._first, b""
            elif self._is_closed or self._at == self._end:
                found = b""
            else:
                found = self._read(PIECE_BYTES)
        if self._is_closed:
            self.close()
        return found

    def close(self) -> None:
        """Remove what is left of a copy; while a piece is being read, that is done afterwards."""
        self._is_closed = True
        if self._turn.acquire(blocking=False):
            try:
                if self._copying is not None:
                    self._copying.end()
                    self._copying = None
            finally:
                self._turn.release()

    def _read(self, size: int, *, is_first: bool = False) -> bytes:
        piece = store().piece(self._file.key, self._at, min(self._at + size, self._end), is_first=is_first)
        self._at += len(piece)
        if self._digest is not None:
            self._digest.update(piece)
            if self._copying is not None:
                self._copying.write(piece)
            if self._at == self._end:
                self._verify(self._digest.hexdigest())
        return piece

    def _verify(self, found: str) -> None:
        mark = _mark_of(self._file)
        if found != self._file.sha256:
            with suppress(OSError):
                mark.parent.mkdir(mode=0o700, exist_ok=True)
                mark.touch(mode=0o600)
            raise ObjectDamaged(f"The object store has other bytes of {self._file.key} than were committed.")
        with suppress(OSError):
            mark.unlink(missing_ok=True)
        if self._copying is not None:
            self._copying.settle()


class _Copying:
    """One copy of an object at a time. What a disk does not take is not copied, and sent all the same."""

    def __init__(self, file: StoredFile, copy: Copy, into: BinaryIO) -> None:
        self._key, self._copy, self._into = file.key, copy, into
        self._is_broken = False

    @classmethod
    def begun(cls, file: StoredFile, first: bytes) -> _Copying | None:
        if file.copy is None or file.size_bytes > settings.CACHE_BYTES:
            return None
        with _copying_guard:
            if file.key in _copying:
                return None
            _copying.add(file.key)
        try:
            copy = file.copy()
            if disk_usage(copy.path.parent).free < file.size_bytes + FREE_MARGIN_BYTES:
                raise OSError("too little room")
            made = cls(file, copy, copy.path.open("xb"))
        except OSError as error:
            log.warning("%s is not kept on this machine: %s", file.key, error)
            with _copying_guard:
                _copying.discard(file.key)
            return None
        made.write(first)
        return made

    def write(self, piece: bytes) -> None:
        if self._is_broken:
            return
        try:
            self._into.write(piece)
        except OSError as error:
            self._break(error)

    def settle(self) -> None:
        if self._is_broken:
            return
        try:
            self._into.flush()
            os.fsync(self._into.fileno())
            self._copy.settle()
        except OSError as error:
            self._break(error)

    def end(self) -> None:
        with suppress(OSError):
            self._into.close()
        self._copy.drop()
        with _copying_guard:
            _copying.discard(self._key)

    def _break(self, error: OSError) -> None:
        self._is_broken = True
        log.warning("%s is not kept on this machine: %s", self._key, error)
        with suppress(OSError):
            self._into.close()
        self._copy.drop()


def _mark_of(file: StoredFile) -> Path:
    """Is there while the object is known to be wrong; for all processes of this machine."""
    return Path(settings.DATA_DIR) / WRONG / hashlib.sha256(file.key.encode()).hexdigest()
