"""Callbacks that watch and write: early stopping, learning rates, predictions, spikes, functions as hooks."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Line, Lines, Validated, batches, fit, trainer
from trainer_core.callbacks import (
    BasePredictionWriter,
    EarlyStopping,
    EarlyStoppingReason,
    GradientAccumulationScheduler,
    LambdaCallback,
    LearningRateMonitor,
    SpikeDetection,
)
from trainer_core.callbacks.spikes import TrainingSpikeException
from trainer_core.errors import MisconfigurationException


class Scripted(Line):
    """Logs the given values as `val_loss`, one per validation, and as `loss` of each training batch."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values, self.at = values, 0

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.values[self.at])
        self.at += 1


# Early stopping.


@pytest.mark.parametrize(
    ("values", "options", "epochs", "reason"),
    [
        ([5, 4, 4, 4, 4, 4], {"patience": 2}, 4, "PATIENCE_EXHAUSTED"),
        ([5, 4.9, 4.7, 4.6, 4.55, 4.5], {"patience": 2, "min_delta": 0.2}, 5, "PATIENCE_EXHAUSTED"),
        ([1, 2, 3, 3, 3, 2], {"patience": 2, "mode": "max"}, 5, "PATIENCE_EXHAUSTED"),
        ([5, 4, 0.5, 4, 4, 4], {"stopping_threshold": 1.0}, 3, "STOPPING_THRESHOLD"),
        ([5, 50, 4, 4, 4, 4], {"divergence_threshold": 10.0}, 2, "DIVERGENCE_THRESHOLD"),
        ([5, math.nan, 4, 4, 4, 4], {}, 2, "NON_FINITE_METRIC"),
        ([5, math.nan, 4, 3, 2, 1], {"check_finite": False}, 6, "NOT_STOPPED"),
        ([6, 5, 4, 3, 2, 1], {}, 6, "NOT_STOPPED"),
    ],
)
def test_stopping_and_its_reason(values: list[float], options: Any, epochs: int, reason: str) -> None:
    stopper = EarlyStopping("val_loss", **options)
    ours, _ = fit(Scripted(values), batches(2), batches(1), callbacks=[stopper], max_epochs=6)
    assert ours.current_epoch == epochs
    assert stopper.stopping_reason is EarlyStoppingReason[reason]
    assert bool(stopper.stopping_reason_message) is (reason != "NOT_STOPPED")


def test_patience_counts_checks_not_epochs() -> None:
    stopper = EarlyStopping("val_loss", patience=3)
    ours, _ = fit(
        Scripted([1.0] * 30), batches(10), batches(1), callbacks=[stopper], max_epochs=3, val_check_interval=2
    )
    assert ours.global_step == 8


def test_a_missing_metric_is_an_error_unless_it_may_be_missing() -> None:
    with pytest.raises(RuntimeError, match="missing"):
        fit(Validated(), val=batches(1), callbacks=[EarlyStopping("missing")])
    with pytest.warns(UserWarning, match="missing"):
        fit(Validated(), val=batches(1), callbacks=[EarlyStopping("missing", strict=False)])


# Learning rates.


def test_rates_are_written_by_step_and_by_epoch() -> None:
    class Scheduled(Line):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=1e-3, momentum=0.9)
            scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "name": "mine"}}

    lines = Lines()
    options = {"logger": lines, "log_every_n_steps": 4, "max_epochs": 2}
    fit(Scheduled(), batches(8), callbacks=[LearningRateMonitor("step", log_momentum=True)], **options)
    assert lines.steps_of("mine") == [3, 7, 11, 15]
    assert lines.values_of("mine") == [1e-3, 1e-3, 5e-4, 5e-4]
    assert set(lines.values_of("mine-momentum")) == {0.9}
    lines.lines.clear()
    monitor = LearningRateMonitor()
    ours, _ = fit(Scheduled(), batches(8), callbacks=[monitor], **options)
    assert lines.steps_of("mine") == [0, 8]
    assert monitor.lrs == {"mine": [1e-3, 5e-4]}
    assert float(ours.callback_metrics["mine"]) == pytest.approx(5e-4)
    with pytest.raises(MisconfigurationException, match="no logger"):
        fit(Scheduled(), callbacks=[LearningRateMonitor()])
    with pytest.raises(MisconfigurationException, match="logging_interval"):
        LearningRateMonitor("batch")


def test_the_rates_of_two_schedulers_of_one_optimizer_have_two_names() -> None:
    class Twice(Line):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=1e-3)
            made = [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1) for _ in range(2)]
            return [optimizer], made

    monitor = LearningRateMonitor()
    fit(Twice(), batches(2), callbacks=[monitor], logger=Lines())
    assert monitor.lrs == {"lr-SGD": [1e-3], "lr-SGD-1": [1e-3]}


# Predictions.


class Predicts(Line):
    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return batch[1] * 10


class Files(BasePredictionWriter):
    """Writes what it gets, with its indices, into files."""

    def __init__(self, folder: Path, interval: Any) -> None:
        super().__init__(interval)
        self.folder = folder

    def write_on_batch_end(self, trainer: Any, pl_module: Any, prediction: Any, indices: Any, *args: Any) -> None:
        torch.save((prediction, list(indices)), self.folder / f"{args[2]}-{args[1]}.pt")

    def write_on_epoch_end(self, trainer: Any, pl_module: Any, predictions: Any, indices: Any) -> None:
        torch.save((predictions, indices), self.folder / "all.pt")


def test_predictions_come_with_the_indices_of_their_samples(tmp_path: Path) -> None:
    ours = trainer(callbacks=[Files(tmp_path, "batch_and_epoch")])
    assert ours.predict(Predicts(), batches(3, shuffle=True), return_predictions=False) is None
    seen = []
    for i in range(3):
        prediction, indices = torch.load(tmp_path / f"0-{i}.pt")
        assert prediction.tolist() == [10 * index for index in indices]
        seen += indices
    assert sorted(seen) == list(range(6))
    predictions, indices = torch.load(tmp_path / "all.pt")
    assert torch.cat(predictions).tolist() == [10 * index for batch in indices[0] for index in batch]


def test_each_loader_has_its_own_predictions(tmp_path: Path) -> None:
    trainer(callbacks=[Files(tmp_path, "epoch")]).predict(Predicts(), [batches(2), batches(3)])
    predictions, indices = torch.load(tmp_path / "all.pt")
    assert [len(found) for found in predictions] == [len(found) for found in indices] == [2, 3]
    assert not (tmp_path / "0-0.pt").exists()
    with pytest.raises(MisconfigurationException, match="write_interval: got 'never'"):
        Files(tmp_path, "never")


# Spikes.


class Jumps(Line):
    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses = losses

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer.weight.sum() * 0 + self.losses[batch_idx]


def test_a_spike_stops_training_and_lists_two_batches(tmp_path: Path) -> None:
    with pytest.raises(TrainingSpikeException, match="batch 5") as caught:
        fit(Jumps([1.0] * 5 + [9.0] * 5), callbacks=[SpikeDetection()], default_root_dir=tmp_path)
    assert caught.value.batch_idx == 5
    assert json.loads((tmp_path / "skip_batches.json").read_text()) == [4, 5]
    file = tmp_path / "other" / "bad.json"
    with pytest.raises(RuntimeError, match="listed in"):
        fit(Jumps([1.0, math.inf] * 5), callbacks=[SpikeDetection(exclude_batches_path=file)])
    assert json.loads(file.read_text()) == [0, 1]


@pytest.mark.parametrize(
    ("losses", "options"),
    [
        ([1.0] * 5 + [0.01] * 5, {}),
        ([1.0] * 5 + [2.9] * 5, {}),
        ([1.0] * 5 + [9.0] * 5, {"atol": 10.0}),
        ([9.0, 1.0] + [1.0] * 8, {"warmup": 3}),
        ([1.0, math.nan] * 5, {"finite_only": False}),
        ([1.0] * 5 + [99.0] * 5, {"mode": "max"}),
    ],
)
def test_what_is_no_spike(losses: list[float], options: Any) -> None:
    ours, _ = fit(Jumps(losses), callbacks=[SpikeDetection(**options)])
    assert ours.global_step == 10
    with pytest.raises(ValueError, match="mode"):
        SpikeDetection(mode="mean")  # type: ignore[arg-type]


# Functions as hooks.


def test_functions_as_hooks() -> None:
    calls: list[Any] = []
    hooks: Any = {
        "on_train_epoch_start": lambda trainer, module: calls.append(("epoch", trainer.current_epoch)),
        "on_train_batch_end": lambda trainer, module, outputs, batch, batch_idx: calls.append(("batch", batch_idx)),
        "on_exception": lambda trainer, module, error: calls.append(type(error)),
    }
    fit(train=batches(2), callbacks=[LambdaCallback(**hooks)])
    assert calls == [("epoch", 0), ("batch", 0), ("batch", 1)]
    with pytest.raises(IndexError):
        fit(Jumps([]), callbacks=[LambdaCallback(**hooks)])
    assert calls[-1] is IndexError
    with pytest.raises(MisconfigurationException, match="on_batch_end"):
        LambdaCallback(on_batch_end=print)


# Accumulation.


def test_accumulation_changes_at_its_epochs_and_is_given_back() -> None:
    ours, module = fit(callbacks=[GradientAccumulationScheduler({1: 5, 2: 2})], max_epochs=3)
    assert ours.global_step == 10 + 2 + 5
    assert ours.accumulate_grad_batches == 1
    ours.fit_loop.max_epochs = 4
    ours.fit(module, batches())
    assert ours.global_step == 17 + 5
    with pytest.raises(ValueError, match="accumulate_grad_batches"):
        fit(callbacks=[GradientAccumulationScheduler({1: 5})], accumulate_grad_batches=2)
    with pytest.raises(MisconfigurationException, match="scheduling"):
        GradientAccumulationScheduler({-1: 2})
