"""What is tuned: a module that changes all that a module can change, its data, and a trainer for it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.small import batches, trainer
from trainer_core import LightningDataModule, LightningModule
from trainer_core.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from trainer_core.loggers import CSVLogger


class Busy(LightningModule):
    """Changes all that a module can change: buffers, its own lists and tensors, random streams, gradients, logs."""

    def __init__(self, lr: float = 0.05, fits: int = 10**9, raises_at: int = -1, n_samples: int = 256) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.lr, self.batch_size, self.fits, self.raises_at = lr, 8, fits, raises_at
        self.total, self.calls, self.seen = torch.zeros(1), 0, [0]
        generator = torch.Generator().manual_seed(3)
        x = torch.randn(n_samples, 4, generator=generator)
        self.data = TensorDataset(x, x.sum(1, keepdim=True))

    def setup(self, stage: str) -> None:
        torch.randperm(4)
        random.random()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self._touch(batch)
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("loss", loss, prog_bar=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._touch(batch)
        self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._touch(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        self._touch(batch)
        return batch[1]

    def _touch(self, batch: Any) -> None:
        self.total += 1
        self.calls += 1
        self.seen.append(len(batch[0]))
        random.random()
        if self.calls == self.raises_at:
            raise ZeroDivisionError("in the trial")
        if len(batch[0]) > self.fits:
            raise torch.OutOfMemoryError("simulated")

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]

    def train_dataloader(self) -> Any:
        return DataLoader(self.data, batch_size=self.batch_size, shuffle=True)

    val_dataloader = test_dataloader = predict_dataloader = lambda self: DataLoader(self.data, self.batch_size)


class Data(LightningDataModule):
    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = batch_size

    def train_dataloader(self) -> Any:
        return batches(64 // self.batch_size, self.batch_size)


def busy_trainer(folder: Path, **options: Any) -> Any:
    callbacks = [EarlyStopping("val_loss"), EMAWeightAveraging(), ModelCheckpoint(folder / "ckpt", monitor="val_loss")]
    chosen = {"default_root_dir": folder, "max_epochs": 3, "callbacks": callbacks, "logger": CSVLogger(folder)}
    return trainer(**{**chosen, "enable_progress_bar": None, "num_sanity_val_steps": 2, **options})


FIND: dict[str, Any] = {
    "lr_find": lambda tuner, module: tuner.lr_find(module, num_training=40, update_attr=False),
    "power": lambda tuner, module: tuner.scale_batch_size(module),
    "binsearch": lambda tuner, module: tuner.scale_batch_size(module, mode="binsearch"),
    "validate": lambda tuner, module: tuner.scale_batch_size(module, method="validate"),
    "test": lambda tuner, module: tuner.scale_batch_size(module, method="test"),
    "predict": lambda tuner, module: tuner.scale_batch_size(module, method="predict"),
}


def without_size(tracked: dict[str, str]) -> dict[str, str]:
    return {name: found for name, found in tracked.items() if name != "attributes"}
