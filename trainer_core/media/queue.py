"""Encodes media off the training thread, in order, each written as a file before its record is handed on."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer_core.media.record import Item, Media

MOST_WAITING_BYTES = 128 << 20
MOST_WAITING = 2000
MOST_COMPLAINTS = 20


class MediaQueue:
    """`emit` gets the JSON of each record, `notice` words for the run's page; both from the queue's own thread.

    What waits is bounded: `put` then waits, so that nothing is lost and memory is bounded, and a notice says so once.
    """

    def __init__(self, folder: Path, emit: Callable[[bytes], None], notice: Callable[[str], None]) -> None:
        self._folder, self._emit, self._notice = folder, emit, notice
        self._waiting: deque[tuple[Media, dict[str, Any]]] = deque()
        self._waiting_bytes = self._complaints = 0
        self._put = self._done = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._has_waited = False

    def put(self, media: Media, head: dict[str, Any]) -> None:
        """`head` is what the record says beside kind, key and items."""
        with self._changed:
            if self._thread is None:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._thread = threading.Thread(target=self._run, name="media", daemon=True)
                self._thread.start()
            if self._waiting and self._is_full(media) and not self._has_waited:
                self._has_waited = True
                self._notice(
                    "Media are logged faster than they can be encoded, so training waits for them now and then."
                )
            while self._waiting and self._is_full(media):
                self._changed.wait()
            self._waiting.append((media, head))
            self._waiting_bytes += media.held_bytes
            self._put += 1
            self._changed.notify_all()

    def drain(self) -> None:
        """Returns when everything that was put before has been handed on."""
        with self._changed:
            until = self._put
            while self._done < until:
                self._changed.wait()

    def _is_full(self, media: Media) -> bool:
        return self._waiting_bytes + media.held_bytes > MOST_WAITING_BYTES or len(self._waiting) >= MOST_WAITING

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                media, head = self._waiting[0]
            try:
                self._keep(media, head)
            except Exception as error:  # a picture is no reason to stop a run
                self.complain(f"{media.key[:80]}: it could not be kept ({type(error).__name__}: {error}).")
            with self._changed:
                self._waiting.popleft()
                self._waiting_bytes -= media.held_bytes
                self._done += 1
                del media
                self._changed.notify_all()

    def _keep(self, media: Media, head: dict[str, Any]) -> None:
        items, complaints = media.items()
        for complaint in complaints:
            self.complain(complaint)
        if items:
            told = [self._written(item) for item in items]
            record = {"kind": media.kind, "key": media.key, **head, "items": told}
            self._emit(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))

    def _written(self, item: Item) -> dict[str, Any]:
        sha256 = item.sha256
        write_once(self._folder / sha256, item.data)
        about = {"mime": item.mime, "caption": item.caption, "meta": item.meta}
        return {"sha256": sha256, "size": len(item.data), **about}

    def complain(self, words: str) -> None:
        """A notice; after MOST_COMPLAINTS no more of them."""
        self._complaints += 1
        if self._complaints <= MOST_COMPLAINTS:
            self._notice(words)
        elif self._complaints == MOST_COMPLAINTS + 1:
            self._notice("More was left out in the same way; only the first notices are shown.")


def write_once(path: Path, data: bytes) -> None:
    """The whole file or none; OSError when the disk is full, and then nothing of it is left."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
