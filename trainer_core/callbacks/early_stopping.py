"""EarlyStopping: stop when a watched metric stops improving."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException
from trainer_core.rank import log, rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class EarlyStoppingReason(IntEnum):
    NOT_STOPPED = 0
    STOPPING_THRESHOLD = 1
    DIVERGENCE_THRESHOLD = 2
    PATIENCE_EXHAUSTED = 3
    NON_FINITE_METRIC = 4


class EarlyStopping(Callback):
    """Asks the trainer to stop after `patience` checks without an improvement of more than `min_delta`.

    Checks happen at the end of every validation, or of every training epoch with `check_on_train_epoch_end`.
    A NaN or infinite metric stops at once (`check_finite`); so does passing `stopping_threshold` or
    `divergence_threshold`.
    """

    watches_metric = True

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        verbose: bool = False,
        mode: str = "min",
        strict: bool = True,
        check_finite: bool = True,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None,
        log_rank_zero_only: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise MisconfigurationException(f"mode: got {mode!r}, allowed is one of 'min', 'max'.")
        self.monitor, self.patience, self.verbose, self.mode = monitor, patience, verbose, mode
        self.strict, self.check_finite = strict, check_finite
        self.stopping_threshold, self.divergence_threshold = stopping_threshold, divergence_threshold
        self._check_on_train_epoch_end = check_on_train_epoch_end
        self.log_rank_zero_only = log_rank_zero_only
        self.min_delta = min_delta if mode == "max" else -min_delta
        self.wait_count = self.stopped_epoch = 0
        self.best_score = torch.tensor(float("inf") if mode == "min" else -float("inf"))
        self.stopping_reason = EarlyStoppingReason.NOT_STOPPED
        self.stopping_reason_message: str | None = None

    @property
    def state_key(self) -> str:
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    @property
    def monitor_op(self) -> Any:
        """`torch.lt` or `torch.gt`."""
        return torch.lt if self.mode == "min" else torch.gt

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._check_on_train_epoch_end is None:
            self._check_on_train_epoch_end = trainer.fit_loop.schedule.is_at_epoch_end

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on stopping, where the checkpoint was written between the decision and the end of training."""
        decided = self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED
        if decided and trainer.fit_loop.resume.was_stopping:
            trainer.should_stop = True
            log.info("The checkpoint was written when training was about to stop early; other limits make it go on.")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._check_on_train_epoch_end and not self._skips(trainer):
            self._check(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._check_on_train_epoch_end and not self._skips(trainer):
            self._check(trainer)

    @staticmethod
    def _skips(trainer: Trainer) -> bool:
        return trainer.state.fn != "fit" or trainer.sanity_checking

    def _check(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run or not self._has_metric(trainer.callback_metrics):
            return
        current = torch.as_tensor(trainer.callback_metrics[self.monitor]).detach().squeeze()
        should_stop, reason = self._evaluate(current)
        should_stop = trainer.strategy.reduce_boolean_decision(should_stop, all=False)
        trainer.should_stop = trainer.should_stop or should_stop
        if should_stop:
            self.stopped_epoch = trainer.current_epoch
        if reason and self.verbose:
            log.info(reason)

    def _has_metric(self, metrics: dict[str, Any]) -> bool:
        if self.monitor in metrics:
            return True
        message = (
            f"Early stopping conditioned on metric `{self.monitor}` which is not available. Pass in or modify your "
            f"`EarlyStopping` callback to use any of the following: `{'`, `'.join(metrics)}`"
        )
        if self.strict:
            raise RuntimeError(message)
        rank_zero_warn(message)
        return False

    def _evaluate(self, current: Tensor) -> tuple[bool, str | None]:
        better = self.monitor_op
        best = self.best_score.to(current.device)
        if self.check_finite and not torch.isfinite(current):
            return self._stop(
                EarlyStoppingReason.NON_FINITE_METRIC,
                f"Monitored metric {self.monitor} = {current} is not finite. Previous best value was {best:.3f}. "
                "Signaling Trainer to stop.",
            )
        if self.stopping_threshold is not None and better(current, torch.tensor(self.stopping_threshold)):
            return self._stop(
                EarlyStoppingReason.STOPPING_THRESHOLD,
                f"Stopping threshold reached: {self.monitor} = {current} passed {self.stopping_threshold}. "
                "Signaling Trainer to stop.",
            )
        if self.divergence_threshold is not None and better(-current, torch.tensor(-self.divergence_threshold)):
            return self._stop(
                EarlyStoppingReason.DIVERGENCE_THRESHOLD,
                f"Divergence threshold reached: {self.monitor} = {current} passed {self.divergence_threshold}. "
                "Signaling Trainer to stop.",
            )
        if better(current - self.min_delta, best):
            message = f"Metric {self.monitor} improved. New best score: {current:.3f}"
            self.best_score, self.wait_count = current, 0
            return False, message
        self.wait_count += 1
        if self.wait_count >= self.patience:
            return self._stop(
                EarlyStoppingReason.PATIENCE_EXHAUSTED,
                f"Monitored metric {self.monitor} did not improve in the last {self.wait_count} records. "
                f"Best score: {best:.3f}. Signaling Trainer to stop.",
            )
        return False, None

    def _stop(self, reason: EarlyStoppingReason, message: str) -> tuple[bool, str]:
        self.stopping_reason, self.stopping_reason_message = reason, message
        return True, message

    def state_dict(self) -> dict[str, Any]:
        return {
            "wait_count": self.wait_count,
            "stopped_epoch": self.stopped_epoch,
            "best_score": self.best_score,
            "patience": self.patience,
            "stopping_reason": int(self.stopping_reason),
            "stopping_reason_message": self.stopping_reason_message,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.wait_count, self.stopped_epoch = state_dict["wait_count"], state_dict["stopped_epoch"]
        self.best_score, self.patience = state_dict["best_score"], state_dict["patience"]
        self.stopping_reason = EarlyStoppingReason(state_dict.get("stopping_reason", 0))
        self.stopping_reason_message = state_dict.get("stopping_reason_message")
