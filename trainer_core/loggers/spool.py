"""Metrics and progress into the spool: the training thread only keeps tensors, a thread of its own writes them.

A step on the x-axis is the number of optimizer steps done, from 1. NaN and infinities are written as they are.
"""

from __future__ import annotations

import errno
import threading
import time
from argparse import Namespace
from collections import deque
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.events import EVENT, MEDIA, SpoolWriter, encode_event
from trainer_core.loggers.base import Logger
from trainer_core.loggers.refusals import Refusals
from trainer_core.loggers.stack import Given, Stacked
from trainer_core.media.queue import MediaQueue
from trainer_core.media.record import Media

if TYPE_CHECKING:
    from trainer_core.media.experiment import Experiment
    from trainer_core.trainer import Trainer

FLUSH_S, FIRST_FLUSH_S, PROGRESS_S, SYNC_S = 0.25, 0.02, 0.5, 1.0
MOST_ROWS = 100_000
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class SpoolLogger(Logger):
    """Appends metric blocks at once, but at most every 250 ms, and a progress event at most every 0.5 s.

    Costs the training thread one clock reading and one append a call. With more than MOST_ROWS rows waiting (a full
    disk), `log_metrics` waits: nothing is dropped. `nonfinite_at` is (step, name) of the first loss that was not finite.
    """

    takes_tensors = True
    shows_media = True

    def __init__(self, writer: SpoolWriter) -> None:
        self._writer = writer
        self._rows: deque[Given] = deque()
        #: Frames that the disk did not take yet, in their order.
        self._frames: list[tuple[int, bytes]] = []
        self._refusals = Refusals()
        self._beside_s = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ending = False
        self._trainer: Trainer | None = None
        self._resumed_at = 0
        self._media = MediaQueue(writer.media_folder, self._append_media, self.notice)
        self._experiment: Experiment | None = None
        self._speed = _Speed()
        self.nonfinite_at: tuple[int, str] | None = None
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        return "spool"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The specification of the run holds them."""

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        rows = self._rows
        rows.append((step, time.time(), metrics.copy()))
        waiting = len(rows)
        if waiting == 1:
            self._wake.set()
        while waiting > MOST_ROWS and len(rows) > MOST_ROWS and not self._ending:
            if not self._thread.is_alive():
                raise RuntimeError("The thread that writes metrics has ended; its error is in the log of the run.")
            time.sleep(0.05)

    @property
    def experiment(self) -> Experiment:
        """Takes what TensorBoard's SummaryWriter takes, and `wandb.log`."""
        if self._experiment is None:
            from trainer_core.media.experiment import Experiment

            self._experiment = Experiment(self)
        return self._experiment

    def log_media(self, media: Media, step: int | None = None) -> None:
        """Encoded and written by a thread of its own. Costs this one a copy; it waits when too much waits already."""
        trainer = self._trainer
        at, epoch = (trainer.global_step, trainer.current_epoch) if trainer is not None else (0, 0)
        head = {"step": at if step is None else step, "at": at, "epoch": epoch, "t": time.time()}
        self._media.put(media, head)

    def log_values(self, values: dict[str, Any], step: int | None = None) -> None:
        """Numbers that user code logged by itself, at the trainer's step or its own."""
        trainer = self._trainer
        at, epoch = (trainer.global_step, trainer.current_epoch) if trainer is not None else (0, 0)
        if step is not None and step < self._resumed_at:
            name = next(iter(values), "")
            self._media.complain(
                f"{name[:80]}: logged with the step {step}, but this attempt went on from step {self._resumed_at}: with "
                "steps of its own it cannot be told from what came before, and is left out. Leave the step to the trainer."
            )
            return
        self.log_metrics(
            {**{n: _owned_number(n, v) for n, v in values.items()}, "epoch": epoch}, at if step is None else step
        )

    def notice(self, text: str) -> None:
        """Words for the run's page."""
        self.event("notice", level="warning", text=text)

    def _append_media(self, payload: bytes) -> None:
        with self._lock:
            self._take_rows()
            self._frames.append((MEDIA, payload))
            self._write_frames()

    def follow(self, trainer: Trainer) -> None:
        """Report the progress of this trainer from now on."""
        self._trainer, self._resumed_at = trainer, trainer.global_step

    def event(self, kind: str, /, **fields: Any) -> None:
        """Write what is waiting, then this event: so that no event runs ahead of the points before it.

        On a full disk it waits with them, and training goes on.
        """
        with self._lock:
            self._take_rows()
            self._frames.append((EVENT, encode_event(kind, {"t": time.time(), **fields})))
            self._write_frames()

    def barrier(self) -> None:
        """Everything so far is on the disk, or will be there before what follows; media are encoded first."""
        self._media.drain()
        with self._lock:
            self._take_rows()
            if self._write_frames():
                self._writer.sync()

    def close(self) -> None:
        """OSError when the disk does not take the last of it."""
        self._media.drain()
        self._ending = True
        self._wake.set()
        self._thread.join(5.0)
        with self._lock:
            self._take_rows()
            self._tell_refused(self._refusals.rest(time.monotonic()))
            self._write_frames(raises=True)
            self._writer.sync()

    def _run(self) -> None:
        next_progress = next_sync = next_flush = 0.0
        while not self._ending:
            self._wake.wait(PROGRESS_S)
            # What comes rarely is written at once, together with what was logged in the same moment.
            time.sleep(max(next_flush - time.monotonic(), FIRST_FLUSH_S))
            self._wake.clear()
            now = time.monotonic()
            with self._lock:
                took = not self._frames and self._take_rows()
                self._tell_refused(self._refusals.due(now))
                wrote = self._write_frames() and took
                if took or self._frames:
                    next_flush = now + FLUSH_S
                self._beside_s = time.thread_time()
                if self._trainer is not None and now >= next_progress:
                    self._write_progress()
                    next_progress = now + PROGRESS_S
                if wrote and now >= next_sync:
                    self._writer.sync()
                    next_sync = now + SYNC_S

    def _write_frames(self, *, raises: bool = False) -> bool:
        """Append what waits; False when the disk is full, and then nothing is lost."""
        if self._frames:
            try:
                self._writer.write(*self._frames)
            except OSError as error:
                if raises or error.errno not in FULL_DISK:
                    raise
                return False
            self._frames = []
        return True

    def _take_rows(self) -> bool:
        """Take all rows, as frames to write; False for none."""
        if not self._rows:
            return False
        stacked = Stacked()
        stacked.add([self._rows.popleft() for _ in range(len(self._rows))])
        self.nonfinite_at = self.nonfinite_at or stacked.nonfinite_at
        self._frames += stacked.frames
        self._tell_refused(self._refusals.add(stacked.refused, time.monotonic()))
        return bool(self._frames)

    def _tell_refused(self, texts: list[str]) -> None:
        """On the run's page."""
        for text in texts:
            self._frames.append((EVENT, encode_event("notice", {"t": time.time(), "level": "warning", "text": text})))

    def _write_progress(self) -> None:
        assert self._trainer is not None
        fields = self._speed.progress(self._trainer)
        recorder = self._trainer.recorder
        if fields:
            fields["logging"] = {"calls": recorder.writes, "s": recorder.cost_s, "beside_s": self._beside_s}
        if fields and not self._frames:
            self._frames.append((EVENT, encode_event("progress", {"t": time.time(), **fields})))
            self._write_frames()


def _owned_number(name: str, value: Any) -> Any:
    """A number, or a tensor of one that nobody else changes. TypeError or ValueError for anything else."""
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise ValueError(f"{name}: one number is needed, got a tensor of the shape {tuple(value.shape)}.")
        return value.detach().clone()
    return float(value)


class _Pace:
    """Steps a second of training, without validation and checkpoints: of late and since this attempt began."""

    WINDOW_S, LEAST_S = 10.0, 2.0

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._first: tuple[float, int] | None = None

    def told(self, breakdown: dict[str, float], step: int) -> dict[str, float | None]:
        """`pace` and `usual_pace`, None while too little is known; `usual_pace` is that of before the window."""
        busy = sum(seconds for part, seconds in breakdown.items() if part not in ("validation", "save"))
        if self._first is None or busy < self._seen[-1][0]:  # another fit began
            self._first = (busy, step)
            self._seen.clear()
        self._seen.append((busy, step))
        while len(self._seen) > 2 and busy - self._seen[1][0] >= self.WINDOW_S:
            self._seen.popleft()
        return {"pace": self._rate(self._seen[0], (busy, step)), "usual_pace": self._rate(self._first, self._seen[0])}

    def _rate(self, one: tuple[float, int], other: tuple[float, int]) -> float | None:
        seconds = other[0] - one[0]
        return (other[1] - one[1]) / seconds if seconds >= self.LEAST_S else None


class _Speed:
    """Steps a second over the last ten seconds, and from it the time that is left."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._pace = _Pace()
        self._began = time.monotonic()
        self._last: dict[str, Any] = {}

    def progress(self, trainer: Trainer) -> dict[str, Any] | None:
        """What has changed since the last call, or None."""
        now, step = time.monotonic(), trainer.global_step
        self._seen.append((now, step))
        while now - self._seen[0][0] > 10.0 and len(self._seen) > 2:
            self._seen.popleft()
        (_, first), elapsed = self._seen[0], now - self._seen[0][0]
        rate = (step - first) / elapsed if elapsed > 0.2 else None
        total = _total_steps(trainer)
        fraction = min(step / total, 1.0) if total else None
        left = (total - step) / rate if total and rate else None
        stage = trainer.state.stage
        batches = trainer.num_training_batches
        fields = {
            "stage": stage.value if stage is not None else "setup",
            "epoch": trainer.current_epoch,
            "max_epochs": trainer.max_epochs,
            "step": step,
            "max_steps": int(total) if total else None,
            "batch": trainer.fit_loop.batch_idx + 1,
            "batches": int(batches) if batches not in (0, float("inf")) else None,
            "fraction": fraction,
            "eta_s": left,
            "steps_per_s": rate,
        }
        if fields == self._last:
            return None
        self._last = fields
        breakdown = {part: round(seconds, 4) for part, seconds in trainer.breakdown.items()}
        paces = self._pace.told(breakdown, step)
        return {**fields, **paces, "elapsed_s": now - self._began, "breakdown": breakdown}


def _total_steps(trainer: Trainer) -> float | None:
    """Optimizer steps of the whole run, None when there is no end."""
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    ends = [trainer.max_steps] if trainer.max_steps > 0 else []
    if epochs and epochs > 0 and batches not in (0, float("inf")):
        per_epoch = -(-int(batches) // trainer.accumulate_grad_batches)
        ends.append(per_epoch * epochs)
    return float(min(ends)) if ends else None
