"""Keeps the processes of one installation running, and ends them in order: web, workers, scheduler, queue server."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from studio.ops.children import Child, Kind, in_words

STOP_ORDER: tuple[Kind, ...] = ("web", "worker", "scheduler", "redis")
SAY_TIMES = 3  # after so many failures in a row a child's restarts are no longer told one by one
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts children, restarts them with growing rests, and stops them. Use it in the main thread, as a context."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.children: list[Child] = []
        self.interrupts = 0
        self._say = say
        self._read_end, self._write_end = os.pipe()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Supervisor:
        for fd in (self._read_end, self._write_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in _ENDING:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # ignored: nohup
                self._before[number] = signal.signal(number, self._interrupted)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the pipe
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read_end)
        os.close(self._write_end)

    def add(self, child: Child) -> None:
        """Start a child and keep it running from now on."""
        self.children.append(child)
        child.start()

    def run(self, until: Callable[[], bool] = lambda: False, *, poll_s: float = 60.0) -> bool:
        """Watch the children until `until()` is true (asked at least every `poll_s`) or a signal asks to stop.

        Returns whether `until()` was true.
        """
        while not self.interrupts:
            if until():
                return True
            now = time.monotonic()
            waiting = [child.start_at - now for child in self.children if child.process is None]
            self._sleep(min([poll_s, *waiting]))
            self._notice_ends()
            for child in self.children:
                if child.process is None and child.start_at <= time.monotonic() and not self.interrupts:
                    child.start()
        return False

    def stop(self) -> None:
        """End all children in order; a second signal, or a child's grace spent, kills."""
        if self.interrupts == 1 and any(child.kind == "worker" for child in self._alive(self.children)):
            self._say("Stopping: runs save a checkpoint and go back to the queue. Ctrl-C again stops at once.")
        for kind in STOP_ORDER:
            group = [child for child in self.children if child.kind == kind]
            for child in group:
                child.signal(signal.SIGTERM)
            deadline = time.monotonic() + max((child.grace_s for child in group), default=0.0)
            while self._alive(group) and self.interrupts < 2 and time.monotonic() < deadline:
                self._sleep(deadline - time.monotonic())
            for child in self._alive(group):
                child.kill()
            while self._alive(group):
                self._sleep(0.5)
        self.children.clear()

    def _alive(self, group: list[Child]) -> list[Child]:
        """Those of the group that run. Asks all children: one wake-up may stand for several ends."""
        for child in self.children:
            child.poll()
        return [child for child in group if child.process is not None]

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += 1

    def _sleep(self, limit_s: float) -> None:
        """Sleep until a signal arrives, at most `limit_s`."""
        ready, _, _ = select.select([self._read_end], [], [], max(0.0, limit_s))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read_end, 4096)

    def _notice_ends(self) -> None:
        for child in self.children:
            status = child.poll()
            if status is None:
                continue
            rest_s = child.rest()
            if child.failures == 1:
                self._say(f"{child.name} ended ({in_words(status)}); started again.")
            elif child.failures <= SAY_TIMES:
                self._say(f"{child.name} ended again ({in_words(status)}): {child.last_words() or 'no message'}")
            elif child.failures == SAY_TIMES + 1:
                self._say(f"{child.name} keeps ending; next try in {rest_s:.0f} s, then less often. See {child.log}")
        if os.getpid() == 1:
            _reap_orphans({child.pid for child in self.children})


def _reap_orphans(ours: set[int | None]) -> None:
    """As the first process of a container: take leave of grandchildren whose parents have died."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid in ours:
            return
        os.waitpid(found.si_pid, 0)
