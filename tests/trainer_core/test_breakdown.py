"""Where the time of a fit goes: each part gets at least the time that was spent in it, and all together no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_core import Callback, LightningModule, Trainer
from trainer_core.callbacks import ModelCheckpoint
from trainer_core.loops.clock import PARTS, StepClock

N_BATCHES, SPENT_S = 6, 0.01


def spend(seconds: float = SPENT_S) -> None:
    """Be busy for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Slow(LightningModule):
    """Spends time in the one place that is named."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.layer, self.where = torch.nn.Linear(4, 1), where

    def spend_in(self, place: str) -> None:
        if self.where == place:
            spend()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.spend_in("compute")
        return self.layer(batch).mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.spend_in("validation")

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.trainer.training:
            self.spend_in("copy")
        return batch

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.spend_in("other")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.spend_in("save")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Data:
    def __init__(self, slow: bool) -> None:
        self.slow = slow

    def __len__(self) -> int:
        return N_BATCHES

    def __iter__(self) -> Iterator[torch.Tensor]:
        for _ in range(N_BATCHES):
            if self.slow:
                spend()
            yield torch.ones(2, 4)


@pytest.mark.parametrize("where", PARTS)
def test_time_counts_for_the_part_in_which_it_was_spent(where: str, tmp_path: Path) -> None:
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        callbacks=[ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1)],
    )
    began = time.perf_counter()
    trainer.fit(Slow(where), Data(slow=where == "data"), Data(slow=False))
    passed = time.perf_counter() - began
    breakdown = trainer.breakdown
    assert list(breakdown) == list(PARTS)
    assert breakdown[where] >= N_BATCHES * SPENT_S
    assert sum(breakdown.values()) <= passed
    others = {part: seconds for part, seconds in breakdown.items() if part != where}
    assert all(seconds >= 0 for seconds in others.values())


def test_it_can_be_read_while_training_and_ends_with_the_fit(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Reader(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            seen.append(trainer.breakdown)

    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, callbacks=[Reader()],
    )  # fmt: skip
    trainer.fit(Slow("compute"), Data(slow=False))
    assert [s["compute"] for s in seen] == sorted(s["compute"] for s in seen)
    assert seen[-1]["compute"] >= (N_BATCHES - 1) * SPENT_S
    after = trainer.breakdown
    trainer.save_checkpoint(tmp_path / "later.ckpt")
    assert trainer.breakdown == after


def test_a_part_inside_another_counts_once() -> None:
    clock = StepClock()
    clock.start(torch.device("cpu"))
    began = time.perf_counter()
    with clock.taking("validation"):
        spend()
        with clock.taking("save"):
            spend(3 * SPENT_S)
        spend()
    passed = time.perf_counter() - began
    parts = clock.breakdown()
    assert parts["save"] >= 3 * SPENT_S
    assert parts["validation"] >= 2 * SPENT_S
    assert parts["validation"] + parts["save"] <= passed


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_computing_is_the_time_of_the_device(tmp_path: Path) -> None:
    class Heavy(Slow):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            torch.cuda._sleep(20_000_000)
            return self.layer(batch).mean()

    trainer = Trainer(
        max_epochs=8, accelerator="gpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Heavy(""), Data(slow=False))
    breakdown = trainer.breakdown
    assert breakdown["compute"] > 0.5 * sum(breakdown.values())
