"""What a callback may do: the same moments as a module's hooks, each with `(trainer, pl_module, …)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class Callback:
    """Self-contained behaviour that hooks into the loops. Hooks that are not overridden cost nothing.

    `self.log` and `self.log_dict` are the module's, from the start of a run.
    """

    @property
    def state_key(self) -> str:
        """Under which key the state is stored in a checkpoint; must differ between two of the same class."""
        return self.__class__.__qualname__

    def _generate_state_key(self, **parts: Any) -> str:
        return f"{self.__class__.__qualname__}{parts!r}"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None: ...

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None: ...

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None: ...

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None: ...

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None: ...

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None: ...

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None: ...

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None: ...

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None: ...

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None: ...

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """State to keep in a checkpoint: tensors and plain Python values only."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None: ...

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None: ...

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None: ...

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None: ...

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None: ...

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None: ...


class KeepsAverage(Callback):
    """A callback with a second module beside the one that trains."""

    def modules(self, pl_module: nn.Module) -> dict[str, nn.Module]:
        """Which of the two holds what: "" the state in training (left out when that is `pl_module`), `state_key` the average."""
        return {}
