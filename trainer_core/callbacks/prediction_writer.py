"""Writes predictions as they are made, so that they need not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

INTERVALS = ("batch", "epoch", "batch_and_epoch")


class BasePredictionWriter(Callback):
    """Override `write_on_batch_end` and/or `write_on_epoch_end`; `batch_indices` are the dataset's indices."""

    def __init__(self, write_interval: Literal["batch", "epoch", "batch_and_epoch"] = "batch") -> None:
        if write_interval not in INTERVALS:
            allowed = ", ".join(map(repr, INTERVALS))
            raise MisconfigurationException(f"write_interval: got {write_interval!r}, allowed is one of {allowed}.")
        self.interval = write_interval

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Override: write the prediction of one batch."""
        raise NotImplementedError

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Override: write all predictions at once; with several loaders one list for each. Indices are per loader."""
        raise NotImplementedError

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.interval in ("batch", "batch_and_epoch"):
            indices = trainer.predict_loop.current_batch_indices
            self.write_on_batch_end(trainer, pl_module, outputs, indices, batch, batch_idx, dataloader_idx)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.interval in ("epoch", "batch_and_epoch"):
            loop = trainer.predict_loop
            predictions = loop.predictions[0] if loop.num_dataloaders == 1 else loop.predictions
            self.write_on_epoch_end(trainer, pl_module, predictions, loop.epoch_batch_indices)
