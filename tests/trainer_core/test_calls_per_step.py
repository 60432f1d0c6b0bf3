"""What a step costs beside the hand-written loop: Python and C calls per step, a count without noise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer_core import LightningModule, Trainer

#: Calls per step over the hand-written loop. They were -24 and -4 when this was written: dropping the gradients takes
#: the engine 36 calls less than `optimizer.zero_grad` (the progress bar redraws by time, so more often per step on a slow
#: machine). Lightning's are 1,524 and 4,730.
ALLOWED = {"bare": -20, "usual": 10}
N_STEPS, FIRST, LAST = 400, 100, 300


class Counter:
    """Counts all calls from step `FIRST` to step `LAST`; `tick` is called once in each step."""

    def __init__(self) -> None:
        self.calls = self.ticks = 0

    def tick(self) -> None:
        if self.ticks == FIRST:
            sys.setprofile(self._count)
        elif self.ticks == LAST:
            sys.setprofile(None)
        self.ticks += 1

    def _count(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1

    @property
    def per_step(self) -> float:
        assert self.ticks >= LAST
        return self.calls / (LAST - FIRST)


class Net(torch.nn.Module):
    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__()
        self.layer, self.tick = torch.nn.Linear(8, 4), tick

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.tick()
        return self.layer(x)


class Data:
    def __init__(self) -> None:
        self.batches = [(torch.ones(4, 8), torch.zeros(4, dtype=torch.int64))] * N_STEPS

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    def __len__(self) -> int:
        return N_STEPS


def hand_written() -> float:
    counter = Counter()
    net, loss_of = Net(counter.tick), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters())
    for x, y in Data():
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
    return counter.per_step


def trained(logs: bool, **options: Any) -> float:
    counter = Counter()

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss_of = Net(counter.tick), torch.nn.CrossEntropyLoss()

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            x, y = batch
            loss = self.loss_of(self.net(x), y)
            if logs:
                self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters())

    Trainer(max_epochs=1, accelerator="cpu", devices=1, enable_model_summary=False, **options).fit(Module(), Data())
    return counter.per_step


@pytest.mark.parametrize("setting", list(ALLOWED))
def test_calls_per_step(setting: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"default_root_dir": tmp_path}
    if setting == "bare":
        options.update(logger=False, enable_progress_bar=False, enable_checkpointing=False)
    engine, loop = trained(logs=setting == "usual", **options), hand_written()
    print(f"{setting}: {engine - loop:+.1f} calls per step")
    assert loop > 50
    assert 0 < engine <= loop + ALLOWED[setting]
