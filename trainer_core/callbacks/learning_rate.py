"""LearningRateMonitor: writes the learning rate of every optimizer and parameter group."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.callback import Callback
from trainer_core.callbacks.moments import writes_now
from trainer_core.errors import MisconfigurationException
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from trainer_core.trainer import Trainer


class LearningRateMonitor(Callback):
    """Logs `lr-SGD`, `lr-Adam-1`, `lr-SGD/pg1` and, when asked, `…-momentum` and `…-weight_decay`."""

    def __init__(
        self, logging_interval: str | None = None, log_momentum: bool = False, log_weight_decay: bool = False
    ) -> None:
        if logging_interval not in (None, "step", "epoch"):
            raise MisconfigurationException(
                f"logging_interval: got {logging_interval!r}, allowed is one of None, 'step', 'epoch'."
            )
        self.logging_interval = logging_interval
        self.log_momentum, self.log_weight_decay = log_momentum, log_weight_decay
        self.lrs: dict[str, list[float]] = {}
        self.last_momentum_values: dict[str, Any] = {}
        self.last_weight_decay_values: dict[str, Any] = {}

    @property
    def lr_sch_names(self) -> list[str]:
        return list(self.lrs)

    def on_train_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if not trainer.loggers:
            raise MisconfigurationException(
                "Cannot use `LearningRateMonitor` callback with `Trainer` that has no logger."
            )
        if not trainer.lr_scheduler_configs:
            rank_zero_warn(
                "You are using `LearningRateMonitor` callback with models that have no learning rate schedulers."
            )
        self.lrs = {}

    def on_train_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if not writes_now(trainer) or self.logging_interval == "epoch":
            return
        interval = "step" if self.logging_interval is None else "any"
        self._write(trainer, interval)

    def on_train_epoch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if self.logging_interval == "step":
            return
        interval = "epoch" if self.logging_interval is None else "any"
        self._write(trainer, interval)

    def _write(self, trainer: Trainer, interval: str) -> None:
        found = self._read(trainer, interval)
        if not found:
            return
        for name, value in found.items():
            if name.endswith("-momentum"):
                self.last_momentum_values[name] = value
            elif name.endswith("-weight_decay"):
                self.last_weight_decay_values[name] = value
            else:
                self.lrs.setdefault(name, []).append(value)
        trainer.recorder.callback_metrics.update(
            {k: torch.tensor(v, device=trainer.strategy.root_device) for k, v in found.items()}
        )
        for logger in trainer.loggers:
            logger.log_metrics(found, trainer.fit_loop.batches_that_stepped)

    def _read(self, trainer: Trainer, interval: str) -> dict[str, float]:
        found: dict[str, float] = {}
        seen: Counter[str] = Counter()
        with_scheduler = []
        for config in trainer.lr_scheduler_configs:
            optimizer = config.scheduler.optimizer
            with_scheduler.append(optimizer)
            name = config.name or self._name(optimizer, seen)
            if interval in ("any", config.interval):
                found.update(self._groups(optimizer, name))
        for optimizer in trainer.optimizers:
            if not any(optimizer is o for o in with_scheduler):
                # Without a scheduler there is no interval of its own: it is written at each.
                found.update(self._groups(optimizer, self._name(optimizer, seen)))
        return found

    @staticmethod
    def _name(optimizer: Optimizer, seen: Counter[str]) -> str:
        kind = type(optimizer).__name__
        seen[kind] += 1
        return f"lr-{kind}-{seen[kind] - 1}" if seen[kind] > 1 else f"lr-{kind}"

    def _groups(self, optimizer: Optimizer, name: str) -> dict[str, float]:
        groups = optimizer.param_groups
        found: dict[str, float] = {}
        for index, group in enumerate(groups):
            label = group.get("name", f"pg{index + 1}") if len(groups) > 1 else None
            key = name if label is None else f"{name}/{label}"
            found[key] = group["lr"]
            if self.log_momentum:
                betas = group.get("betas")
                found[f"{key}-momentum"] = betas[0] if betas else group.get("momentum", 0)
            if self.log_weight_decay and "weight_decay" in group:
                found[f"{key}-weight_decay"] = group["weight_decay"]
        return found
