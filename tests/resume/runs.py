"""Runs in which chosen features have a state or draw random numbers, saved at any moment and gone on with."""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.trainer_core.small import trainer
from trainer_core import LightningModule, seed_everything
from trainer_core.callbacks import EMAWeightAveraging
from trainer_core.callbacks.checkpoint import Checkpoint

FEATURES = (
    "dropout", "augmentation", "bf16-mixed", "accumulation 4", "two optimizers", "EMA", "OneCycle", "plateau",
)  # fmt: skip
#: What the second cannot have with the first, whose step drives its optimizers itself.
APART = {"two optimizers": {"accumulation 4", "plateau"}}
PLACES = ("train", "validation", "between")
EPOCHS, BATCHES, SIZE = 3, 6, 4
VALIDATIONS, VALIDATION_BATCHES = 3, 3
"""Within each epoch, and in each of them."""


class Rows(Dataset[Any]):
    """Each reading is noted in a file, by whichever process it is done; with noise out of all three streams."""

    def __init__(self, log: Path | None, noisy: bool, n_rows: int = BATCHES * SIZE) -> None:
        self.log, self.noisy, self.n_rows = log, noisy, n_rows

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, index: int) -> Any:
        if self.log is not None:
            handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(handle, b".")
            os.close(handle)
        row = torch.full((6,), index / self.n_rows)
        return row + 0.1 * (torch.randn(6) + random.random() + np.random.rand()).float() if self.noisy else row


class Net(LightningModule):
    def __init__(self, features: frozenset[str]) -> None:
        super().__init__()
        self.features = features
        self.automatic_optimization = "two optimizers" not in features
        self.first, self.norm, self.second = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)
        self.dropout = nn.Dropout(0.5 if "dropout" in features else 0.0)

    def forward(self, x: Any) -> Any:
        return self.second(self.dropout(self.norm(self.first(x))))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = (self(batch) - 1).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True, sync_dist=True)
        if self.automatic_optimization:
            return loss
        optimizer = self.optimizers()[batch_idx % 2]
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        for scheduler in self._schedulers():
            scheduler.step()
        return None

    def _schedulers(self) -> list[Any]:
        found = self.lr_schedulers()
        return [] if found is None else found if isinstance(found, list) else [found]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", (self(batch) - 1).square().mean() + 0.1 * torch.rand(1).item(), sync_dist=True)

    def configure_optimizers(self) -> Any:
        if self.automatic_optimization:
            optimizers: list[Any] = [torch.optim.AdamW(self.parameters(), lr=0.05)]
        else:
            head = [*self.norm.parameters(), *self.second.parameters()]
            optimizers = [torch.optim.Adam(self.first.parameters(), lr=0.05), torch.optim.SGD(head, 0.05, momentum=0.9)]
        schedulers: list[Any] = []
        if "OneCycle" in self.features:
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizers[0], 0.1, total_steps=200)
            schedulers.append({"scheduler": cycle, "interval": "step"})
        if "plateau" in self.features:
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizers[0], patience=0, factor=0.7)
            schedulers.append({"scheduler": plateau, "monitor": "val"})
        return optimizers, schedulers


class SaveAt(Checkpoint):
    """Saves at the given moments, (place, count from 1), into a folder."""

    def __init__(self, folder: Path, moments: list[tuple[str, int]]) -> None:
        self.folder, self.moments = folder, set(moments)
        self.counts = dict.fromkeys(PLACES, 0)

    def _reach(self, trainer: Any, place: str) -> None:
        if not trainer.sanity_checking:
            self.counts[place] += 1
            if (place, self.counts[place]) in self.moments:
                trainer.save_checkpoint(self.folder / f"{place}-{self.counts[place]}.ckpt")

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self._reach(trainer, "train")

    def on_validation_batch_end(self, trainer: Any, *args: Any) -> None:
        self._reach(trainer, "validation")

    def on_validation_end(self, trainer: Any, *args: Any) -> None:
        self._reach(trainer, "between")

    def on_train_epoch_end(self, trainer: Any, *args: Any) -> None:
        self._reach(trainer, "between")


def batches_before(place: str, count: int) -> int:
    """Training batches done at a moment; validations follow every second batch, an epoch's end the last of them."""
    if place == "train":
        return count
    if place == "validation":
        return 2 * ((count - 1) // VALIDATION_BATCHES + 1)
    epoch, within = divmod(count - 1, VALIDATIONS + 1)
    return epoch * BATCHES + 2 * min(within + 1, VALIDATIONS)


def moments_of(place: str) -> int:
    """How many moments of this kind a run has, but for its very end, from which nothing is left to train."""
    return {
        "train": EPOCHS * BATCHES,
        "validation": EPOCHS * VALIDATIONS * VALIDATION_BATCHES,
        "between": EPOCHS * (VALIDATIONS + 1) - 1,
    }[place]


@dataclass(frozen=True)
class End:
    """What a run came to: sha256 over weights, averages, optimizers, rates and metrics; how many rows it read."""

    sha256: str
    weights: str
    rows_read: int


@dataclass
class Setting:
    features: frozenset[str]
    workers: tuple[int, int] = (0, 0)
    processes: int = 1
    moments: list[tuple[str, int]] = field(default_factory=list)

    def words(self) -> str:
        across = f"{self.workers[0]}→{self.workers[1]} workers" + (
            f", {self.processes} processes" * (self.processes > 1)
        )
        return f"{', '.join(sorted(self.features))}; {across}"


def run(setting: Setting, folder: Path, workers: int, seed: int, ckpt_path: Path | None = None) -> End:
    """Train; without `ckpt_path` from the start, saving at the setting's moments."""
    features, log = setting.features, folder / f"rows-{os.urandom(4).hex()}"
    seed_everything(seed, verbose=False)
    options: dict[str, Any] = {"max_epochs": EPOCHS, "val_check_interval": 2, "num_sanity_val_steps": 1}
    if "bf16-mixed" in features:
        options["precision"] = "bf16-mixed"
    if "accumulation 4" in features:
        options["accumulate_grad_batches"] = 4
    if setting.processes > 1:
        options |= {"devices": setting.processes, "strategy": "ddp_fork"}
    callbacks: list[Any] = [EMAWeightAveraging(decay=0.8)] if "EMA" in features else []
    callbacks.append(SaveAt(folder, setting.moments if ckpt_path is None else []))
    last = folder / f"last-{os.urandom(4).hex()}.ckpt"
    callbacks.append(SaveLast(last))
    ours = trainer(callbacks=callbacks, enable_checkpointing=True, **options)
    noisy, n_rows = "augmentation" in features, BATCHES * SIZE * setting.processes
    train = DataLoader(Rows(log, noisy, n_rows), SIZE, shuffle=True, num_workers=workers)
    val = DataLoader(Rows(None, noisy, VALIDATION_BATCHES * SIZE * setting.processes), SIZE)
    ours.fit(Net(features), train, val, ckpt_path=ckpt_path)
    return _end(last, log)


class SaveLast(Checkpoint):
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def state_key(self) -> str:
        return "SaveLast"

    def on_train_end(self, trainer: Any, *args: Any) -> None:
        trainer.save_checkpoint(self.path)


def _end(last: Path, log: Path) -> End:
    state = torch.load(last, weights_only=True)
    everything, weights = hashlib.sha256(), hashlib.sha256()
    _add(weights, state["state_dict"])
    own = state["trainer_core"]
    for part in (
        "state_dict",
        "optimizer_states",
        "lr_schedulers",
        "callbacks",
        "averaging_state",
        "current_model_state",
    ):
        _add(everything, state.get(part))
    _add(everything, {k: float(v).hex() for k, v in sorted(own["metrics"].items())})
    # Lightning's counters of validation batches within the epoch serve nobody, and a resumed epoch begins them anew.
    loops = {k: v for k, v in state["loops"]["fit_loop"].items() if "val_loop" not in k}
    _add(everything, [own["validation_batches_seen"], loops])
    return End(everything.hexdigest(), weights.hexdigest(), log.stat().st_size if log.exists() else 0)


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        digest.update(str(value.dtype).encode() + value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for key in value:
            digest.update(repr(key).encode())
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        for one in value:
            _add(digest, one)
    else:
        digest.update(repr(value).encode())
