"""What is logged beside numbers: encoded by a thread of its own, kept as files that are named by their content."""

from __future__ import annotations

import time
from typing import Any

from studio.client.recorder import Recorder, is_exact
from trainer_core.loggers.media import MediaCalls
from trainer_core.media.queue import MediaQueue
from trainer_core.media.record import Media


class MediaLog:
    """Media of one start of a program; `recorder` gets a record of each behind its files."""

    def __init__(self, recorder: Recorder) -> None:
        self._queue = MediaQueue(
            recorder.media_folder, recorder.media, lambda text: recorder.event("notice", level="info", text=text)
        )

    def put(self, media: Media, *, step: float, at: float) -> None:
        """`step` is what pages show, `at` the step that the program has reached. Waits when very much waits already."""
        shown, reached = (int(min(max(n, 0.0), 2.0**53)) if is_exact(n) else 0 for n in (step, at))
        head: dict[str, Any] = {"step": shown, "at": reached, "epoch": 0, "t": time.time()}
        self._queue.put(media, head)

    def drain(self) -> None:
        """Returns when all that was put is on this disk."""
        self._queue.drain()


__all__ = ["Media", "MediaCalls", "MediaLog"]
