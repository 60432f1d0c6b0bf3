"""The runs that are killed: small, and everything in them has a state or draws random numbers."""

from __future__ import annotations

from typing import Any

from trainer_core.spec import DataRef, ModelRef, RunSpec

MODEL = '''
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import EMAWeightAveraging


class Mine(LightningModule):
    """Dropout, momentum, schedules by step and by plateau; metrics of steps and of epochs."""

    def __init__(self, average=False):
        super().__init__()
        self.average = average
        self.net = torch.nn.Sequential(
            torch.nn.Linear(8, 32), torch.nn.BatchNorm1d(32), torch.nn.Dropout(0.4), torch.nn.ReLU(), torch.nn.Linear(32, 2)
        )

    def configure_callbacks(self):
        return [EMAWeightAveraging(decay=0.9)] if self.average else []

    def loss(self, batch):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch) + 0.01 * torch.rand(1).item())

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        one_cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=200)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
        return [optimizer], [{"scheduler": one_cycle, "interval": "step"}, {"scheduler": plateau, "monitor": "val_loss"}]


class Two(Mine):
    """Two optimizers that the step itself drives."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        first, second = self.optimizers()
        chosen = first if batch_idx % 2 else second
        chosen.zero_grad()
        self.manual_backward(loss)
        chosen.step()
        self.log("loss", loss, on_step=True, on_epoch=True)

    def configure_optimizers(self):
        head = list(self.net[4].parameters())
        return torch.optim.AdamW(self.net[:2].parameters(), lr=0.01), torch.optim.SGD(head, lr=0.05, momentum=0.9)
'''
DATA = '''
import random

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    """Two classes; every reading of a row adds noise out of all three random streams."""

    def __init__(self, first, n_rows):
        self.first, self.n_rows = first, n_rows

    def __len__(self):
        return self.n_rows

    def __getitem__(self, index):
        label = (self.first + index) % 2
        noise = 0.3 * torch.randn(8) + 0.1 * random.random() + 0.1 * np.random.rand()
        return (torch.full((8,), float(label)) + noise).float(), label


class Data(LightningDataModule):
    def __init__(self, workers=0):
        super().__init__()
        self.workers = workers

    def train_dataloader(self):
        return DataLoader(Rows(0, 64), 8, shuffle=True, num_workers=self.workers)

    def val_dataloader(self):
        return DataLoader(Rows(64, 16), 8)
'''


def _spec(
    model: str = "Mine", args: dict[str, Any] | None = None, workers: int = 0, every: str = "2st", **trainer: Any
) -> RunSpec:
    options = {"max_epochs": 3, "accelerator": "cpu", "enable_model_summary": False, "val_check_interval": 5, **trainer}
    return RunSpec(
        model=ModelRef("file", model, args or {}, code=MODEL),
        data=DataRef("file", "Data", {"workers": workers}, code=DATA),
        trainer=options,
        extras={"checkpoint_every": every, "speed": "plain"},
        seed=11,
    )


#: Name → specification; each has 24 batches and validates within epochs.
RECIPES = {
    "plain": _spec(),
    "accumulated": _spec(accumulate_grad_batches=4, precision="bf16-mixed"),
    "averaged": _spec(args={"average": True}, every="1ep"),
    "two optimizers": _spec("Two"),
    "workers": _spec(workers=1),
}
