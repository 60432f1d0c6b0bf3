"""Averages of the weights (semantic 92): what a checkpoint holds, what validation sees, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Line, Validated, batches, fit, trainer, weights
from trainer_core import Callback
from trainer_core.callbacks import EMAWeightAveraging, ModelCheckpoint, WeightAveraging


class Trail(Callback):
    """The weights after every step."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.steps.append(pl_module.layer.weight.detach().clone())


def saved(path: Path) -> Any:
    return torch.load(path, weights_only=False)


def test_092_a_checkpoint_holds_the_average_and_the_weights_in_training_apart(tmp_path: Path) -> None:
    trail, saver = Trail(), ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    fit(train=batches(6), callbacks=[trail, WeightAveraging(), saver])
    file = saved(tmp_path / "step=3.ckpt")
    assert torch.equal(file["current_model_state"]["layer.weight"], trail.steps[2])
    assert torch.allclose(file["state_dict"]["layer.weight"], torch.stack(trail.steps[:3]).mean(0))
    assert int(file["averaging_state"]["n_averaged"]) == 3
    average = Line.load_from_checkpoint(tmp_path / "step=6.ckpt", map_location="cpu")
    assert torch.allclose(average.layer.weight, torch.stack(trail.steps).mean(0))


def test_092_before_the_average_begins_a_checkpoint_holds_the_weights_in_training(tmp_path: Path) -> None:
    """Lightning saves the weights of the beginning as the `state_dict` until then."""
    trail, saver = Trail(), ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    ema = EMAWeightAveraging(decay=0.9, update_starting_at_step=4)
    fit(train=batches(6), callbacks=[trail, ema, saver])
    early = saved(tmp_path / "step=2.ckpt")
    assert torch.equal(early["state_dict"]["layer.weight"], trail.steps[1])
    late = saved(tmp_path / "step=6.ckpt")
    expected = 0.9 * trail.steps[4] + 0.1 * trail.steps[5]
    assert torch.allclose(late["state_dict"]["layer.weight"], expected)


def test_092_validation_sees_the_average_and_training_ends_with_it(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    class Look(Validated):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            seen.append(self.layer.weight.detach().clone())

    trail = Trail()
    _, module = fit(Look(), batches(4), batches(1), callbacks=[trail, WeightAveraging()])
    average = torch.stack(trail.steps).mean(0)
    assert torch.allclose(seen[0], average)
    assert torch.allclose(weights(module), average.flatten())


@pytest.mark.parametrize("kind", [WeightAveraging, EMAWeightAveraging])
def test_092_averages_go_on_after_a_resume(kind: type[WeightAveraging], tmp_path: Path) -> None:
    torch.manual_seed(0)
    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    _, whole = fit(train=batches(4), max_epochs=2, callbacks=[kind(), saver])
    torch.manual_seed(5)
    options = {"max_epochs": 2, "callbacks": [kind()]}
    _, rest = fit(train=batches(4), ckpt_path=tmp_path / "step=3.ckpt", **options)
    assert torch.equal(weights(rest), weights(whole))


def test_092_a_test_of_the_file_uses_the_average(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="last")
    trail = Trail()
    fit(train=batches(4), callbacks=[trail, WeightAveraging(), saver])
    module = Validated()
    trainer().test(module, batches(1), ckpt_path=tmp_path / "last.ckpt", verbose=False)
    assert torch.allclose(module.layer.weight, torch.stack(trail.steps).mean(0))
