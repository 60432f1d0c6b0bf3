"""Takes over what the trainer wrote: spool frames and output, into the database, in order, each once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studio.runs import checkpoints, lease
from studio.runs.models import Attempt
from studio.tracking.intake import Event, Intake, clean
from studio.tracking.logs import append_log
from studio.tracking.results import keep_results
from trainer_core.errors import SpoolError
from trainer_core.events import Frame, Position, read_spool, segment_path

LOG_BYTES = 64_000
LOOK_S = 0.02
FACTS = ("device", "parameters", "max_steps", "max_epochs", "batches", "versions", "threads", "simd", "host")
PROGRESS = (
    "stage", "epoch", "max_epochs", "step", "max_steps", "batch", "batches", "fraction", "eta_s", "steps_per_s",
    "pace", "usual_pace", "elapsed_s", "breakdown", "logging", "t",
)  # fmt: skip
SAVING = ("unsaved", "saved")
CHECKPOINT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,79}")


class SpoolReader(Intake):
    """Reads one attempt's spool and output from where the database knows that it stopped."""

    def __init__(self, attempt: Attempt, run_dir: Path, on_event: Callable[[Event], None]) -> None:
        super().__init__(attempt, on_event, run_dir / "media")
        self._folder, self.output = run_dir / "spool", run_dir / "output.log"
        self._log_at = attempt.log_bytes
        self._found: tuple[Path, int] | None = None
        self._damage: SpoolError | None = None

    def read(self) -> bool:
        """One pass; True when there was anything. StaleState when the attempt is superseded.

        A pass that the database interrupts (OperationalError) is taken up where the database knows.
        """
        any_frame = self.take(self._frames())
        if self._damage is not None:
            self.complain(self._damage)
            self._damage = None
            self.go_to(Position(self.position.segment + 1, 0))
            return True
        return any_frame

    def wait(self, most_s: float) -> None:
        """Until the trainer has written more than the last wait found, so that a point is taken over at once."""
        deadline = time.monotonic() + most_s
        path = segment_path(self._folder, self.position.segment)
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                if size > self.position.offset and (path, size) != self._found:
                    self._found = (path, size)
                    return
            time.sleep(min(LOOK_S, left))

    def _frames(self) -> Iterator[Frame]:
        try:
            yield from read_spool(self._folder, self.position)
        except SpoolError as error:
            self._damage = error

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


def write_run_dir(folder: Path, spec: str, attempt: dict[str, Any]) -> None:
    """`spec.json` and `attempt.json`, private to this user."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in (("spec.json", spec), ("attempt.json", json.dumps(attempt))):
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
