"""LearningRateFinder: a learning-rate range test at the start of fit, whose suggestion the run then uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer
    from trainer_core.tuner.lr_find import LearningRateRange, Mode


class LearningRateFinder(Callback):
    """Runs `lr_find` before training; `optimal_lr` holds what was found. A resumed run takes the rate of the first.

    Call `lr_find` from other hooks to test again later. `update_attr` sets `attr_name`, or `lr` or `learning_rate`,
    wherever it is. ValueError for a wrong mode; AttributeError when no attribute is found.
    """

    SUPPORTED_MODES = ("linear", "exponential")
    runs_first = True

    def __init__(
        self,
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training_steps: int = 100,
        mode: Mode = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> None:
        chosen: Any = mode.lower()
        if chosen not in self.SUPPORTED_MODES:
            raise ValueError(f"mode: got {mode!r}, allowed is one of {', '.join(self.SUPPORTED_MODES)}.")
        if not 0 < min_lr < max_lr:
            raise ValueError(f"min_lr, max_lr: got {min_lr!r} and {max_lr!r}, allowed is 0 < min_lr < max_lr.")
        if num_training_steps < 1:
            raise ValueError(f"num_training: got {num_training_steps!r}, allowed is a whole number of at least 1.")
        self._min_lr, self._max_lr, self._num_training_steps, self._mode = min_lr, max_lr, num_training_steps, chosen
        self._early_stop_threshold = early_stop_threshold
        self._update_attr, self._attr_name = update_attr, attr_name
        self.optimal_lr: LearningRateRange | None = None
        self._used: float | None = None

    def lr_find(self, trainer: Trainer, pl_module: LightningModule) -> None:
        from trainer_core.tuner.lr_find import find_lr, lr_attribute, use_lr

        if trainer.fast_dev_run:
            rank_zero_warn("The learning-rate finder is skipped, since `fast_dev_run` is enabled.")
            return
        name = lr_attribute(pl_module, self._attr_name) if self._update_attr else ""
        self.optimal_lr = find_lr(
            trainer,
            min_lr=self._min_lr,
            max_lr=self._max_lr,
            num_training=self._num_training_steps,
            mode=self._mode,
            early_stop_threshold=self._early_stop_threshold,
        )
        if self._update_attr and (lr := self.optimal_lr.suggestion()) is not None:
            self._used = lr
            use_lr(trainer, pl_module, name, lr)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is None:
            self.lr_find(trainer, pl_module)
        elif self._used is not None:
            from trainer_core.tuner.lr_find import lr_attribute, use_lr

            use_lr(trainer, pl_module, lr_attribute(pl_module, self._attr_name), self._used)

    def state_dict(self) -> dict[str, Any]:
        return {"lr": self._used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._used = state_dict.get("lr")
