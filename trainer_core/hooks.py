"""The hooks that a module or datamodule may override; an un-overridden one is never called in a step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer_core.data.nested import move_to


class ModelHooks:
    """Moments of the loops, in the order of a run; see `Trainer.fit` for when each is called."""

    def on_fit_start(self) -> None: ...

    def on_fit_end(self) -> None: ...

    def on_train_start(self) -> None: ...

    def on_train_end(self) -> None: ...

    def on_validation_start(self) -> None: ...

    def on_validation_end(self) -> None: ...

    def on_test_start(self) -> None: ...

    def on_test_end(self) -> None: ...

    def on_predict_start(self) -> None: ...

    def on_predict_end(self) -> None: ...

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Return -1 to skip the rest of the epoch."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """`outputs` is a dict with the detached loss (divided by the accumulation) and what the step returned."""

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def on_test_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def on_predict_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None: ...

    def on_validation_model_eval(self) -> None:
        """Puts the module in evaluation mode; the modes of all submodules are restored afterwards."""
        self.eval()  # type: ignore[attr-defined]

    def on_validation_model_train(self) -> None:
        """Called after validation only when overridden; by default each submodule's own mode is restored."""

    def on_validation_model_zero_grad(self) -> None:
        """Releases the gradients before a validation inside fit."""
        self.zero_grad()  # type: ignore[attr-defined]

    def on_test_model_eval(self) -> None:
        self.eval()  # type: ignore[attr-defined]

    def on_test_model_train(self) -> None:
        """Called after testing only when overridden."""

    def on_predict_model_eval(self) -> None:
        self.eval()  # type: ignore[attr-defined]

    def on_train_epoch_start(self) -> None: ...

    def on_train_epoch_end(self) -> None: ...

    def on_validation_epoch_start(self) -> None: ...

    def on_validation_epoch_end(self) -> None: ...

    def on_test_epoch_start(self) -> None: ...

    def on_test_epoch_end(self) -> None: ...

    def on_predict_epoch_start(self) -> None: ...

    def on_predict_epoch_end(self) -> None: ...

    def on_before_zero_grad(self, optimizer: Optimizer) -> None: ...

    def on_before_backward(self, loss: Tensor) -> None: ...

    def on_after_backward(self) -> None: ...

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None: ...

    def configure_model(self) -> None:
        """Create large layers here: it runs on the target device, for every stage, before weights are loaded."""


class DataHooks:
    """Where data comes from and how a batch travels; shared by modules and datamodules."""

    # Without annotations, which TorchScript would take for those of its own attributes.
    prepare_data_per_node = True
    allow_zero_length_dataloader_with_multiple_devices = False

    def prepare_data(self) -> None:
        """Download and unpack; runs in one process, so set no state here."""

    def setup(self, stage: str) -> None:
        """Build datasets for `stage` (fit, validate, test or predict); runs in every process."""

    def teardown(self, stage: str) -> None:
        """Undo `setup` after `stage`."""

    def train_dataloader(self) -> Any:
        raise NotImplementedError("`train_dataloader` must be implemented to be used with the Trainer")

    def val_dataloader(self) -> Any:
        raise NotImplementedError("`val_dataloader` must be implemented to be used with the Trainer")

    def test_dataloader(self) -> Any:
        raise NotImplementedError("`test_dataloader` must be implemented to be used with the Trainer")

    def predict_dataloader(self) -> Any:
        raise NotImplementedError("`predict_dataloader` must be implemented to be used with the Trainer")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batch with every tensor on `device`."""
        return move_to(batch, device)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch


class CheckpointHooks:
    """A say in what a checkpoint holds."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None: ...

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None: ...
