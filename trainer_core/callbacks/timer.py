"""Timer: stop after a wall time; the time already used survives a resume."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException
from trainer_core.loops.schedule import interval_s
from trainer_core.rank import rank_zero_info

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

_STAGES = {"train": "train", "validate": "validate", "test": "test", "sanity_check": "sanity_check"}


class Timer(Callback):
    """Asks the trainer to stop once training took `duration` (DD:HH:MM:SS, `30min`, timedelta or dict)."""

    def __init__(
        self,
        duration: str | timedelta | dict[str, int] | None = None,
        interval: str = "step",
        verbose: bool = True,
    ) -> None:
        super().__init__()
        if interval not in ("step", "epoch"):
            raise MisconfigurationException(f"interval: got {interval!r}, allowed is one of 'step', 'epoch'.")
        self._duration = interval_s(duration) if duration is not None else None
        self._interval, self._verbose = interval, verbose
        self._start: dict[str, float] = {}
        self._end: dict[str, float] = {}
        self._offset = 0.0

    def start_time(self, stage: str = "train") -> float | None:
        return self._start.get(str(stage))

    def end_time(self, stage: str = "train") -> float | None:
        return self._end.get(str(stage))

    def time_elapsed(self, stage: str = "train") -> float:
        """Seconds spent in `stage` so far."""
        start, end = self.start_time(stage), self.end_time(stage)
        offset = self._offset if str(stage) == "train" else 0.0
        if start is None:
            return offset
        return (end if end is not None else time.monotonic()) - start + offset

    def time_remaining(self, stage: str = "train") -> float | None:
        return None if self._duration is None else self._duration - self.time_elapsed(stage)

    def on_fit_start(self, trainer: Trainer, *_: Any) -> None:
        # A duration shorter than what a resumed run has used already stops before the first batch.
        if self._duration is not None and self._offset:
            self._check(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start["train"] = time.monotonic()
        self._end.pop("train", None)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end["train"] = time.monotonic()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start["validate"] = time.monotonic()
        self._end.pop("validate", None)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end["validate"] = time.monotonic()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start["test"] = time.monotonic()
        self._end.pop("test", None)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end["test"] = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if self._interval == "step" and self._duration is not None:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if self._interval == "epoch" and self._duration is not None:
            self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        assert self._duration is not None
        over = trainer.strategy.broadcast(self.time_elapsed() >= self._duration)
        if over and not trainer.should_stop and self._verbose:
            elapsed = timedelta(seconds=int(self.time_elapsed()))
            rank_zero_info(f"Time limit reached. Elapsed time is {elapsed}. Signaling Trainer to stop.")
        trainer.should_stop = trainer.should_stop or over

    def state_dict(self) -> dict[str, Any]:
        return {"time_elapsed": {stage: self.time_elapsed(stage) for stage in _STAGES}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._offset = float(state_dict.get("time_elapsed", {}).get("train", 0.0))
