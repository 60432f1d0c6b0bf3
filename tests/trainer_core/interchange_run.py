"""Runs of one of the two engines in a process of its own: write checkpoints, go on from one, or load one.

`python -m tests.trainer_core.interchange_run ours|theirs` reads from stdin the runs to do, a JSON list of
`[kind, folder, epochs, checkpoint or null]`; it prints as JSON on the last line, for each run, the sha256 of the
weights, what was logged last, and the names of the files.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ENGINE: Any = importlib.import_module("trainer_core" if sys.argv[1] == "ours" else "lightning.pytorch")
CALLBACKS: Any = importlib.import_module(f"{ENGINE.__name__}.callbacks")


class Numbers(ENGINE.LightningDataModule):  # type: ignore[name-defined]
    """Ten numbered batches, never shuffled, and a state."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.save_hyperparameters({"size_of_batch": size})
        self.size, self.epochs = size, 0

    def train_dataloader(self) -> Any:
        self.epochs += 1
        x = torch.linspace(-1, 1, 29 * 4).reshape(29, 4)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=self.size)

    val_dataloader = train_dataloader

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


class Net(ENGINE.LightningModule):  # type: ignore[name-defined]
    """Dropout out of a stream that starts anew with every batch: Lightning's files keep no random states."""

    def __init__(self, width: int = 8, rates: tuple[float, ...] = (0.05,), note: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 1))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(100 * self.current_epoch + batch_idx)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = (self.net(batch[0]) - batch[1]).square().mean()
        self.log("loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val", (self.net(batch[0]) - batch[1]).square().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.rates[0])
        return [optimizer], [
            {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.9), "interval": "step"},
            torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95),
        ]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mine"] = {"epoch": self.current_epoch}


class TwoPlayers(Net):
    """Manual optimisation with two optimizers and a scheduler."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.automatic_optimization = False
        self.other = nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        first, second = self.optimizers()
        for optimizer, player in ((first, self.net), (second, self.other)):
            loss = (player(batch[0]) - batch[1]).square().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        if self.trainer.is_last_batch:
            self.lr_schedulers().step()

    def configure_optimizers(self) -> Any:
        first = torch.optim.Adam(self.net.parameters(), lr=0.05)
        second = torch.optim.SGD(self.other.parameters(), lr=0.1, momentum=0.9)
        return [first, second], [torch.optim.lr_scheduler.ExponentialLR(first, 0.9)]


def run(kind: str, folder: Path, epochs: int, resume: str | None) -> dict[str, Any]:
    ENGINE.seed_everything(3)
    if kind == "loaded":
        loaded = Net.load_from_checkpoint(resume, weights_only=True, note="other")
        data = Numbers.load_from_checkpoint(resume, weights_only=True)
        return {**report(loaded), "hparams": dict(loaded.hparams), "data": {**data.hparams, "epochs": data.epochs}}
    callbacks, options = parts(kind, folder)
    model, data = TwoPlayers() if kind == "manual" else Net(note=kind), Numbers()
    trainer = ENGINE.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, callbacks=callbacks, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip
    trainer.fit(model, datamodule=data, ckpt_path=resume)
    return {
        **report(model),
        "steps": trainer.global_step,
        "epoch": trainer.current_epoch,
        "epochs of data": data.epochs,
        "metrics": {k: v.item().hex() for k, v in sorted(trainer.callback_metrics.items())},
        "best": Path(callbacks[0].best_model_path).name,
        "written": sorted(path.name for path in folder.glob("*.ckpt")),
    }


def parts(kind: str, folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """Callbacks and further trainer arguments of a kind of run."""
    best = CALLBACKS.ModelCheckpoint(folder, monitor="val", save_top_k=2, save_last=True)
    if kind == "usual":
        others = [CALLBACKS.EarlyStopping("val", patience=50), CALLBACKS.Timer("01:00:00:00")]
        return [best, *others], {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}
    if kind == "averaged":
        return [best, CALLBACKS.EMAWeightAveraging(decay=0.9)], {}
    if kind == "middle":
        return [CALLBACKS.ModelCheckpoint(folder, every_n_train_steps=4, save_top_k=-1, filename="{step}")], {}
    if kind == "halves":
        return [best], {"precision": "bf16-mixed", "val_check_interval": 0.5}
    if kind == "weights":
        return [CALLBACKS.ModelCheckpoint(folder, save_weights_only=True)], {}
    return [best], {}


def report(model: nn.Module) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    return {"weights": digest.hexdigest()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = [run(kind, Path(folder), epochs, resume) for kind, folder, epochs, resume in json.load(sys.stdin)]
    print("\n" + json.dumps(results))
