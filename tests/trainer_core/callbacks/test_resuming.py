"""Callbacks that change training go on after a stop as if there had been none: the same bits, the same log lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer_core.small import Line, Lines, batches, trainer
from trainer_core import seed_everything
from trainer_core.callback import Callback
from trainer_core.callbacks import (
    BackboneFinetuning,
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelPruning,
    SpikeDetection,
    StochasticWeightAveraging,
    WeightAveraging,
)


class Learner(Line):
    """A backbone with BatchNorm, a head, dropout, momentum, a scheduler, validation."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.layer = nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.backbone(x))

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = (self(batch[0]) - 1).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", (self(batch[0]) - 1).square().mean())

    def configure_optimizers(self) -> Any:
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)]


CALLBACKS: dict[str, Any] = {
    "equal average": WeightAveraging,
    "moving average": lambda: EMAWeightAveraging(decay=0.7, update_every_n_steps=2, update_starting_at_epoch=1),
    "stochastic average": lambda: StochasticWeightAveraging(0.02, swa_epoch_start=2, annealing_epochs=3),
    "accumulation": lambda: GradientAccumulationScheduler({1: 3, 3: 2}),
    "finetuning": lambda: BackboneFinetuning(unfreeze_backbone_at_epoch=1, lambda_func=lambda epoch: 1.5),
    "pruning": lambda: ModelPruning("l1_unstructured", amount=0.2, parameter_names=["weight"]),
    "pruning without tickets": lambda: ModelPruning("l1_unstructured", amount=0.2, use_lottery_ticket_hypothesis=False),
    "early stopping": lambda: EarlyStopping("val_loss", patience=1, min_delta=0.05),
    "spikes": lambda: SpikeDetection(rtol=50.0),
    "rates": LearningRateMonitor,
}


class Keep(Callback):
    """A file after every batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.fit_loop.total_batch_idx + 1}.ckpt")


def run(make: Any, folder: Path, seed: int, ckpt_path: Any = None) -> tuple[Any, Any, Lines]:
    seed_everything(seed, verbose=False)
    lines, module = Lines(), Learner()
    ours = trainer(callbacks=[make(), Keep(folder)], max_epochs=4, logger=lines, log_every_n_steps=1)
    ours.fit(module, batches(8, 4, shuffle=True), batches(2, 4), ckpt_path=ckpt_path)
    return ours, module, lines


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_resumed_run_is_the_unbroken_one(name: str, tmp_path: Path) -> None:
    whole, expected, lines = run(CALLBACKS[name], tmp_path, 4)
    last = whole.fit_loop.total_batch_idx + 1
    for stop_at in (3, 8, 13, 16, 21, 24, last - 1):
        if stop_at >= last:
            continue
        ours, found, rest = run(CALLBACKS[name], tmp_path, 99, tmp_path / f"{stop_at}.ckpt")
        assert (ours.global_step, ours.current_epoch) == (whole.global_step, whole.current_epoch), stop_at
        for key, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[key], value), (stop_at, key)
        tail = lines.lines[-len(rest.lines) :]
        assert [(s, {k: float(v) for k, v in m.items()}) for s, m in rest.lines] == [
            (s, {k: float(v) for k, v in m.items()}) for s, m in tail
        ], stop_at
