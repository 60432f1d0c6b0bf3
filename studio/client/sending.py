"""The thread that sends while a program logs: patient with a studio that is away, silent towards the program."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import suppress

from studio.client.errors import StudioError
from studio.client.folder import AttemptFolder, InUse
from studio.client.sender import Refused, Sender

log = logging.getLogger("studio.client")
EVERY_S, FIRST_PAUSE_S, MOST_PAUSE_S = 1.0, 0.5, 30.0


class Sending:
    """Sends what the recorder of an attempt wrote, as it is written."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._wake, self._done = threading.Event(), threading.Event()
        self._is_ending = self._is_whole = self._is_given_up = False
        self._attempt: AttemptFolder | None = None
        self.is_done = False
        self._thread = threading.Thread(target=self._run, name="studio-sender", daemon=True)

    @property
    def state(self) -> str:
        """Of the run in the studio, as it was told last."""
        return self._sender.state

    def start(self, attempt: AttemptFolder) -> None:
        self._attempt = attempt
        self._thread.start()

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    def finish(self, timeout_s: float) -> bool:
        """Nothing more is written: send the rest; whether all is in the studio after at most `timeout_s`."""
        self._is_ending = True
        self._wake.set()
        self._done.wait(timeout_s)
        self._is_given_up = True
        self._wake.set()
        self._thread.join(1.0)
        return self.is_done

    def _run(self) -> None:
        try:
            while not self._is_given_up and not self.is_done:  # perhaps another process sends what is there already
                with suppress(InUse), self._sender.folder.locked("sender"):
                    self._send_all()
                    return
                self._wake.wait(EVERY_S)
        except Refused as error:
            log.warning("%s Nothing more is sent; all of it is kept in %s.", error, self._sender.folder.path)
        except Exception:  # the program goes on, whatever it is
            log.exception("nothing more is sent; all of it is kept in %s", self._sender.folder.path)
        finally:
            self._done.set()

    def _may_end(self, attempt: AttemptFolder) -> bool:
        is_own = self._attempt is not None and attempt.key == self._attempt.key
        return self._is_whole if is_own else attempt.is_ended()

    def _send_all(self) -> None:
        pause_s, was_told = 0.0, False
        while not self._is_given_up and not self.is_done:
            self._wake.wait(pause_s or min(EVERY_S * 2, self._sender.lease_s / 8))
            if pause_s and not self._is_ending:
                time.sleep(pause_s * random.uniform(0.5, 1.0))
            self._wake.clear()
            self._is_whole = self._is_ending  # looked at before anything is sent
            try:
                self.is_done = self._sender.send(may_end=self._may_end)
                self._sender.beat()
                pause_s, was_told = 0.0, False
            except Refused:
                raise
            except StudioError as error:
                if not was_told:
                    log.warning("%s It is tried again, meanwhile all of it is kept.", error)
                was_told = True
                pause_s = min(max(pause_s * 2, FIRST_PAUSE_S, error.retry_after_s), MOST_PAUSE_S)
            else:
                if not self._is_ending:
                    time.sleep(EVERY_S)
