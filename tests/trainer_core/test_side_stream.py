"""Batches travel to a GPU on a stream of their own, and the step still trains on what was read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import weights
from trainer_core import LightningModule, Trainer
from trainer_core.data.prefetch import SideStream, make_place

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class Reused:
    """Batches in pinned memory that is written anew for each, as a careless loader does with pageable memory."""

    def __iter__(self) -> Iterator[Any]:
        for i in range(40):
            yield {"x": torch.full((512, 512), i / 40).pin_memory(), "more": [torch.full((512,), i / 80)]}

    def __len__(self) -> int:
        return 40


class Slow(LightningModule):
    """Computes for so long after it was given a batch that the next copies overtake it."""

    def __init__(self, *, hook: bool) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(512, 4)
        if hook:
            self.on_after_batch_transfer = lambda batch, dataloader_idx: batch  # type: ignore[method-assign]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        torch.cuda._sleep(2_000_000)
        x = batch.pop("x")  # Whose memory nobody else holds from here on.
        return (self.layer(x) + batch["more"][0].mean()).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def trained(folder: Path, *, hook: bool) -> torch.Tensor:
    torch.manual_seed(0)
    module = Slow(hook=hook)
    trainer = Trainer(
        max_epochs=1, accelerator="gpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, Reused())
    place = make_place(trainer)
    assert isinstance(getattr(place, "__self__", None), SideStream) is not hook
    return weights(module)


def test_the_side_stream_gives_the_bits_of_the_plain_copy(tmp_path: Path) -> None:
    assert torch.equal(trained(tmp_path / "a", hook=False), trained(tmp_path / "b", hook=True))
