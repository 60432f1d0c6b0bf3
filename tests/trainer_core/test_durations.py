"""Intervals and limits with units mean what the plain numbers of Lightning mean, and are counted when the data is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from trainer_core import LightningModule, Trainer
from trainer_core.callback import Callback
from trainer_core.callbacks import ModelCheckpoint
from trainer_core.errors import MisconfigurationException, OptionError

BATCHES, EPOCHS = 8, 3
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
    "num_sanity_val_steps": 0, "max_epochs": EPOCHS,
}  # fmt: skip


class Small(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.layer(batch[0]).mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Seen(Callback):
    def __init__(self) -> None:
        self.batches: list[int] = []
        self.done = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.done += 1

    def on_validation_start(self, *_: Any) -> None:
        self.batches.append(self.done)


def fit(callbacks: tuple[Callback, ...] = (), **options: Any) -> tuple[Trainer, list[int]]:
    seen, loader = Seen(), DataLoader(TensorDataset(torch.ones(BATCHES * 4, 2)), batch_size=4)
    given = {**QUIET, "enable_checkpointing": bool(callbacks), **options}
    trainer = Trainer(**given, callbacks=[seen, *callbacks])
    trainer.fit(Small(), loader, loader)
    return trainer, seen.batches


@pytest.mark.parametrize(
    ("interval", "every"), [("5st", 5), ("5ba", 5), ("20sp", 5), ("25%", 6), ("0.5ep", 4), ("1ep", 8), ("2ep", 16)]
)
def test_validation_comes_at_an_interval_in_any_unit(interval: str, every: int) -> None:
    assert fit(val_check_interval=interval)[1] == list(range(every, BATCHES * EPOCHS + 1, every))


def test_steps_of_an_interval_are_optimizer_steps() -> None:
    assert fit(val_check_interval="2st", accumulate_grad_batches=2)[1] == [4, 8, 12, 16, 20, 24]
    assert fit(val_check_interval="3ba", accumulate_grad_batches=2)[1] == [3, 6, 9, 12, 15, 18, 21, 24]


@pytest.mark.parametrize(
    ("options", "steps"), [({"max_epochs": "2ep"}, 16), ({"max_steps": "7st"}, 7), ({"max_steps": "7", "x": 1}, 0)]
)
def test_limits_take_their_own_unit(options: dict[str, Any], steps: int) -> None:
    if not steps:
        with pytest.raises(OptionError, match="max_steps"):
            Trainer(max_steps="7")
        return
    assert fit(**options)[0].global_step == steps


@pytest.mark.parametrize(("interval", "every"), [("10st", 10), ("25%", 6), ("0.5ep", 4), ("16sp", 4)])
def test_logging_comes_at_an_interval_in_any_unit(interval: str, every: int) -> None:
    assert fit(log_every_n_steps=interval)[0].log_every_n_steps == every


@pytest.mark.parametrize(
    ("every", "steps"), [("5st", [5, 10, 15, 20]), ("25%", [6, 12, 18, 24]), ("40sp", [10, 20]), ("2ep", [16])]
)
def test_checkpoints_come_at_an_interval_in_any_unit(every: str, steps: list[int], tmp_path: Path) -> None:
    fit((ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every=every),))
    assert sorted(int(p.stem.partition("=")[2]) for p in tmp_path.glob("*.ckpt")) == steps


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"val_check_interval": "5st", "check_val_every_n_epoch": 2}, "val_check_interval"),
        ({"max_epochs": "1.5ep"}, "max_epochs"),
        ({"max_epochs": "5st"}, "max_epochs"),
        ({"max_steps": "5ep"}, "max_steps"),
        ({"log_every_n_steps": "3min"}, "log_every_n_steps"),
    ],
)
def test_a_unit_that_an_argument_does_not_take_is_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError, match=f"^{name}: got .* allowed is "):
        Trainer(**{**QUIET, **options})


def test_one_interval_of_a_checkpoint_is_enough() -> None:
    with pytest.raises(MisconfigurationException, match="every: got 5st"):
        ModelCheckpoint(every="5st", every_n_epochs=1)
    with pytest.raises(OptionError, match="every"):
        ModelCheckpoint(every="soon")
