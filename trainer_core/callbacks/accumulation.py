"""GradientAccumulationScheduler: another number of batches per step from an epoch on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException
from trainer_core.overrides import is_overridden
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class GradientAccumulationScheduler(Callback):
    """`scheduling` maps the 0-based epoch to the number of batches per step from then on: `{0: 1, 4: 8}`."""

    def __init__(self, scheduling: dict[int, int]) -> None:
        super().__init__()
        if not scheduling:
            raise TypeError("scheduling: got an empty dict, allowed is {epoch: batches per step}.")
        for epoch, batches in scheduling.items():
            for name, value, least in (("epoch", epoch, 0), ("batches per step", batches, 1)):
                if isinstance(value, bool) or not isinstance(value, int) or value < least:
                    raise MisconfigurationException(
                        f"scheduling: got {value!r} as {name}, allowed is a whole number of at least {least}."
                    )
        self.scheduling = {0: 1, **scheduling} if min(scheduling) > 0 else dict(scheduling)
        self.epochs = sorted(self.scheduling)

    def going_to_accumulate_grad_batches(self) -> bool:
        return any(v > 1 for v in self.scheduling.values())

    def get_accumulate_grad_batches(self, epoch: int) -> int:
        """Batches per step in `epoch` (0-based)."""
        return self.scheduling[max(e for e in self.epochs if e <= epoch)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not pl_module.automatic_optimization:
            raise RuntimeError(
                "Automatic gradient accumulation and the `GradientAccumulationScheduler` is not supported for manual "
                "optimization. Please remove the callback or switch to automatic optimization."
            )
        from trainer_core.module import LightningModule as Base

        if is_overridden("optimizer_zero_grad", pl_module, Base) and self.going_to_accumulate_grad_batches():
            rank_zero_warn(
                "When using `Trainer(accumulate_grad_batches != 1)` and overriding "
                "`LightningModule.optimizer_zero_grad`, the hook will not be called on every batch (rather, it is "
                "called on every optimization step)."
            )
        if trainer.accumulate_grad_batches != 1:
            raise ValueError(
                "You have set `accumulate_grad_batches` and are using the `GradientAccumulationScheduler` callback. "
                "Either remove `accumulate_grad_batches` from the Trainer or remove the callback."
            )
        # A run that is resumed inside an epoch does not start that epoch again.
        self.on_train_epoch_start(trainer)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.accumulate_grad_batches = 1

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        trainer.accumulate_grad_batches = 1
