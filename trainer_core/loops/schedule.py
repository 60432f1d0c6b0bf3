"""When things are due: learning-rate schedulers, validation, writing step logs."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trainer_core.durations import Duration, parse_duration
from trainer_core.errors import MisconfigurationException, OptionError
from trainer_core.loops.intervals import steps_in
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.loops.fit import FitLoop
    from trainer_core.optimizers import LRSchedulerConfig
    from trainer_core.trainer import Trainer


def step_schedulers(trainer: Trainer, interval: str, *, plateau: bool) -> None:
    """Step the schedulers of `interval` ("step" or "epoch") that watch a metric (`plateau`) or those that do not.

    `frequency` counts the intervals of the whole run: with 20, a "step" scheduler steps after optimizer steps 20, 40 …
    even when an epoch has only 10 batches or gradients are accumulated.
    """
    if not trainer.lightning_module.automatic_optimization:
        return
    for config in trainer.lr_scheduler_configs:
        if config.interval != interval or config.reduce_on_plateau is not plateau:
            continue
        done = trainer.global_step if interval == "step" else trainer.current_epoch + 1
        if done % config.frequency == 0:
            _step(trainer, config)


def _step(trainer: Trainer, config: LRSchedulerConfig) -> None:
    metric = None
    if config.reduce_on_plateau:
        metric = trainer.callback_metrics.get(config.monitor or "")
        if metric is None:
            available = list(trainer.callback_metrics)
            message = (
                f"ReduceLROnPlateau conditioned on metric {config.monitor} which is not available. "
                f"Available metrics are: {available}. Condition can be set using `monitor` key in lr scheduler dict"
            )
            if config.strict:
                raise MisconfigurationException(message)
            rank_zero_warn(message)
            return
    trainer.hooks.call_module("lr_scheduler_step", config.scheduler, metric)
    trainer.fit_loop.scheduler_steps += 1


class ValidationSchedule:
    """When validation runs inside fit: by batches of the epoch, batches of the run, or wall time."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        interval = trainer.val_check_interval
        self.counted = _counted(interval)
        self.every_s: float | None = None if self.counted is not None else interval_s(interval)
        self.every_batches: float = float("inf")
        self.last_at = time.monotonic()

    def set_epoch_length(self, n_batches: float, *, sized: bool) -> None:
        """Turn `val_check_interval` into batches; raises when it cannot be reached or the length is unknown."""
        trainer = self.trainer
        if (logging := _counted(trainer.log_every_n_steps)) is not None:
            trainer.log_every_n_steps = steps_in(trainer, logging)
        interval = trainer.val_check_interval
        if self.counted is not None:
            batches = self.counted.unit == "ba"
            steps = int(self.counted.value) if batches else steps_in(trainer, self.counted)
            self.every_batches = steps if batches else steps * trainer.accumulate_grad_batches
            return
        if self.every_s is not None:
            self.every_batches = float("inf")
            return
        if isinstance(interval, int):
            self.every_batches = interval
            if interval > n_batches and trainer.check_val_every_n_epoch is not None and trainer.limit_val_batches != 0:
                raise ValueError(
                    f"`val_check_interval` ({interval}) must be less than or equal to the number of the training "
                    f"batches ({n_batches}). If you want to disable validation set `limit_val_batches` to 0 instead. "
                    "If you want to validate based on the total training batches, set `check_val_every_n_epoch=None`."
                )
        elif not sized and (interval == 1.0 or n_batches == float("inf")):
            if interval != 1.0:
                raise MisconfigurationException(
                    f"val_check_interval: got {interval!r}, allowed for training data of unknown length is 1.0, "
                    "a whole number of batches, or a time."
                )
            self.every_batches = float("inf")
        else:
            self.every_batches = max(1, int(n_batches * interval))

    @property
    def is_at_epoch_end(self) -> bool:
        """Validation runs once, at the end of an epoch. `1.0` is the whole epoch, `1` every batch."""
        trainer = self.trainer
        every = trainer.val_check_interval
        return isinstance(every, float) and every == 1.0 and trainer.check_val_every_n_epoch == 1

    def epoch_is_due(self) -> bool:
        trainer = self.trainer
        every = trainer.check_val_every_n_epoch
        return trainer.enable_validation and (every is None or (trainer.current_epoch + 1) % every == 0)

    def is_due(self, loop: FitLoop) -> bool:
        """Right after a training batch: does validation run now?"""
        if not self.epoch_is_due():
            return False
        trainer, progress = self.trainer, loop.batch_progress
        endless = self.every_batches == float("inf") and self.every_s is None
        if progress.is_last_batch and endless:
            return True
        if trainer.should_stop and loop.can_stop_early:
            return True
        if self.every_s is not None:
            return time.monotonic() - self.last_at >= self.every_s
        if isinstance(trainer.limit_train_batches, int) and endless:
            return progress.current.ready % trainer.limit_train_batches == 0
        if not endless:
            count = progress.total.ready if trainer.check_val_every_n_epoch is None else progress.current.ready
            return count % self.every_batches == 0
        return progress.is_last_batch


def _counted(interval: Any) -> Duration | None:
    """A duration in steps, batches, samples, epochs or percent; None for numbers and times."""
    if not isinstance(interval, str):
        return None
    found = parse_duration(interval, name="interval")
    return None if found.unit == "s" else found


def interval_s(interval: Any) -> float | None:
    """Seconds of a time interval (DD:HH:MM:SS, `30min`, timedelta, dict); None for counts and fractions."""
    if isinstance(interval, dict):
        try:
            interval = timedelta(**interval)
        except (TypeError, OverflowError) as error:
            raise OptionError("time", interval, "a dict of timedelta's arguments such as {'minutes': 30}") from error
    if isinstance(interval, str | timedelta):
        duration = parse_duration(interval, name="time")
        if duration.unit != "s":
            raise OptionError("time", interval, "a time such as 00:00:30:00 or 30min")
        return duration.value
    return None
