"""Keeps one trainer ready: torch is imported, it waits on a pipe for the run that it will execute.

Importing torch costs seconds; this way Start → first point does not pay them.
"""

from __future__ import annotations

import logging
import time

from studio.worker.trainer import Trainer

log = logging.getLogger(__name__)
RETRY_S = 30.0


class Standby:
    """`take` gives the ready trainer away, `refill` starts the next one.

    A process sees the GPUs that it was started with, so one that was started with others is of no use: the next run is
    expected to get what the last one had.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._environment = environment or {}
        self._next: Trainer | None = None
        self._not_before = 0.0

    def refill(self) -> None:
        """Start a trainer unless one waits. One that ended by itself is replaced after RETRY_S at the earliest."""
        if self._next is not None and self._next.poll() is not None:
            words = self._next.last_words().decode(errors="replace").strip()
            log.warning("a trainer that was kept ready ended with code %s: %s", self._next.poll(), words[-2000:])
            self._next.close()
            self._next = None
            self._not_before = time.monotonic() + RETRY_S
        if self._next is None and time.monotonic() >= self._not_before:
            self._next = Trainer(self._environment)

    def take(self, environment: dict[str, str] | None = None) -> Trainer:
        """The ready one, or a cold one when there is none with this environment."""
        fits = environment is None or environment == self._environment
        if not fits:
            self.close()
            self._environment = environment or {}
        trainer, self._next = self._next, None
        if trainer is not None and trainer.poll() is None:
            return trainer
        if trainer is not None:
            trainer.close()
        return Trainer(self._environment)

    def close(self) -> None:
        if self._next is not None:
            self._next.kill()
            self._next.close()
            self._next = None
