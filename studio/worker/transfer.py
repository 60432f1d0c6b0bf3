"""Sends what this machine wrote to the object store, in a thread of its own: no run waits for it, a store that is away is
tried again, and what a worker that was killed had not sent is sent by the next one on the machine."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.db import DatabaseError, close_old_connections, connections

from studio.core import blobs, objects
from studio.core.stores import StoreError
from studio.runs import checkpoints, shared_checkpoints
from studio.storage import cache

log = logging.getLogger(__name__)
EVERY_S, AGAIN_S, TIDY_EVERY_S = 0.5, 3.0, 60.0


class Transfer:
    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="transfer", daemon=True)
        self._error = ""
        self._waiting = 0
        self._tidied = time.monotonic()

    def start(self) -> None:
        """Does nothing without an object store."""
        if objects.is_open():
            self._thread.start()

    def close(self, most_s: float = 0.0) -> None:
        """End after the turn under way, or after `most_s`."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(most_s)

    @property
    def is_failing(self) -> bool:
        """Whether the last turn found the store away, or nobody makes turns."""
        return bool(self._error) or not self._thread.is_alive()

    def state(self) -> dict[str, Any]:
        """For the worker's row: what is wrong in words, and how many files wait; nothing without an object store."""
        return {"store": {"error": self._error, "waiting": self._waiting}} if objects.is_open() else {}

    def _run(self) -> None:
        try:
            while not self._ended.wait(AGAIN_S if self._error else EVERY_S):
                close_old_connections()
                self._turn()
        finally:
            connections.close_all()

    def _turn(self) -> None:
        try:
            shared_checkpoints.send_waiting(checkpoints.retire)
            blobs.send_waiting()
            shared_checkpoints.remove_due()
            self._error, self._waiting = "", 0
            if time.monotonic() - self._tidied > TIDY_EVERY_S:
                self._tidied = time.monotonic()
                cache.keep_small()
        except StoreError as error:
            if not self._error:
                log.warning("the object store does not take files, they wait on this machine: %s", error)
            self._error = "The object store does not answer."
            self._count()
        except (DatabaseError, OSError) as error:
            log.warning("nothing is sent to the object store: %s", error)
        except Exception:
            log.exception("sending to the object store failed; it is tried again")

    def _count(self) -> None:
        try:
            self._waiting = sum(1 for _ in shared_checkpoints.waiting()) + blobs.count_waiting()
        except (DatabaseError, OSError) as error:
            log.warning("what waits for the object store cannot be counted: %s", error)
