"""Averages of weights: what they are, who sees them, what files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer_core.small import Validated, batches, fit, trainer, weights
from trainer_core.callback import Callback
from trainer_core.callbacks import EMAWeightAveraging, ModelCheckpoint, OnExceptionCheckpoint, WeightAveraging
from trainer_core.errors import MisconfigurationException


class Steps(Callback):
    """Weights after each step, and those that validation sees."""

    def __init__(self) -> None:
        self.after: list[Tensor] = []
        self.validated: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.after.append(weights(pl_module))

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        self.validated.append(weights(pl_module))


def test_the_equal_average_is_the_mean_of_all_steps() -> None:
    steps = Steps()
    _, module = fit(Validated(), val=batches(1), callbacks=[steps, WeightAveraging()], max_epochs=2)
    assert torch.allclose(weights(module), torch.stack(steps.after).mean(0), atol=1e-6)
    assert torch.allclose(steps.validated[0], torch.stack(steps.after[:10]).mean(0), atol=1e-6)


def test_the_moving_average_follows_its_formula() -> None:
    steps = Steps()
    average = EMAWeightAveraging(decay=0.6, update_every_n_steps=3, update_starting_at_step=2)
    _, module = fit(Validated(), callbacks=[steps, average])
    # 0-based steps 3, 6 and 9; the first copies.
    expected = steps.after[3]
    for weight in (steps.after[6], steps.after[9]):
        expected = 0.6 * expected + 0.4 * weight
    assert torch.allclose(weights(module), expected, atol=1e-6)


def test_it_may_start_at_an_epoch_and_then_counts_epochs_too() -> None:
    class Counts(EMAWeightAveraging):
        asked: list[Any] = []

        def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
            found = super().should_update(step_idx, epoch_idx)
            if epoch_idx is not None:
                self.asked.append((epoch_idx, found))
            return found

    fit(Validated(), callbacks=[Counts(update_starting_at_step=10**6, update_starting_at_epoch=1)], max_epochs=3)
    assert Counts.asked == [(0, False), (1, True), (2, True)]


def test_files_hold_the_average_and_the_weights_in_training(tmp_path: Path) -> None:
    steps = Steps()
    saver = ModelCheckpoint(tmp_path, filename="one", every_n_train_steps=7, save_top_k=-1)
    fit(Validated(), callbacks=[steps, WeightAveraging(), saver])
    saved = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert torch.allclose(saved["state_dict"]["layer.weight"][0], torch.stack(steps.after[:7]).mean(0), atol=1e-6)
    assert torch.equal(saved["current_model_state"]["layer.weight"][0], steps.after[6])
    assert int(saved["averaging_state"]["n_averaged"]) == 7
    loaded = Validated.load_from_checkpoint(tmp_path / "one.ckpt")
    assert torch.equal(loaded.layer.weight, saved["state_dict"]["layer.weight"])


def test_buffers_are_averaged_only_when_asked_for() -> None:
    class Normed(Validated):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))

    ends = []
    for use_buffers in (True, False):
        torch.manual_seed(1)
        _, module = fit(Normed(), batches(6, 4), callbacks=[WeightAveraging(use_buffers=use_buffers)])
        ends.append(module.layer[1].running_mean.clone())
    torch.manual_seed(1)
    _, plain = fit(Normed(), batches(6, 4))
    assert torch.equal(ends[1], plain.layer[1].running_mean)
    assert not torch.equal(ends[0], ends[1])


def test_an_error_in_validation_leaves_the_weights_in_training(tmp_path: Path) -> None:
    class Fails(Validated):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            raise ZeroDivisionError

    steps, module = Steps(), Fails()
    callbacks = [steps, WeightAveraging(), OnExceptionCheckpoint(tmp_path)]
    with pytest.raises(ZeroDivisionError):
        trainer(callbacks=callbacks).fit(module, batches(), batches(2))
    assert torch.equal(weights(module), steps.after[-1])
    saved = torch.load(tmp_path / "on_exception.ckpt", weights_only=True)
    assert torch.equal(saved["current_model_state"]["layer.weight"][0], steps.after[-1])
    assert torch.allclose(saved["state_dict"]["layer.weight"][0], torch.stack(steps.after).mean(0), atol=1e-6)


def test_a_file_of_the_middle_of_a_validation_is_like_any_other(tmp_path: Path) -> None:
    class Saves(Validated):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.trainer.save_checkpoint(tmp_path / "middle.ckpt")
            self.seen.append(weights(self))

    steps, module = Steps(), Saves()
    fit(module, val=batches(1), callbacks=[steps, WeightAveraging()])
    saved = torch.load(tmp_path / "middle.ckpt", weights_only=True)
    assert torch.equal(saved["current_model_state"]["layer.weight"][0], steps.after[-1])
    assert torch.equal(saved["state_dict"]["layer.weight"][0], module.seen[-1])


def test_a_file_without_averages_starts_them_and_says_so(tmp_path: Path) -> None:
    fit(Validated(), callbacks=[ModelCheckpoint(tmp_path, filename="one")])
    with pytest.warns(UserWarning, match="no averaged weights"):
        fit(Validated(), callbacks=[WeightAveraging()], max_epochs=2, ckpt_path=tmp_path / "one.ckpt")


@pytest.mark.parametrize("options", [{"decay": 1.0}, {"decay": -0.1}, {"update_every_n_steps": 0}])
def test_wrong_options_are_named(options: Any) -> None:
    with pytest.raises(MisconfigurationException, match=f"^{next(iter(options))}: got"):
        EMAWeightAveraging(**options)
