"""Metric objects keep what they have seen of an epoch when a run goes on from any moment of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer_core.small import batches, fit
from trainer_core import LightningModule
from trainer_core.callbacks import Checkpoint
from trainer_core.checkpoint.metrics import metric_states

torchmetrics = pytest.importorskip("torchmetrics")
N_BATCHES, EPOCHS = 5, 2
OPTIONS: dict[str, Any] = {"max_epochs": EPOCHS, "val_check_interval": 2, "num_sanity_val_steps": 1}
#: Where a file is written, and how often a run of two epochs comes there.
MOMENTS = {
    "on_train_batch_end": EPOCHS * N_BATCHES,
    "on_validation_batch_end": 2 * EPOCHS * 3,
    "on_validation_end": 2 * EPOCHS,
    "on_train_epoch_end": EPOCHS,
}


class Measured(LightningModule):
    """A mean, lists, a collection with shared states and a wrapper; some logged, some asked by hand at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.mean = torchmetrics.MeanMetric()
        self.curve = torchmetrics.classification.BinaryAUROC()
        names = ("BinaryAccuracy", "BinaryPrecision", "BinaryRecall")
        self.scores = torchmetrics.MetricCollection([getattr(torchmetrics.classification, n)() for n in names])
        self.pair = torchmetrics.MetricCollection(
            {"first": torchmetrics.MeanMetric(), "second": torchmetrics.MeanMetric()}
        )
        self.by_hand = torchmetrics.SpearmanCorrCoef()
        self.running = torchmetrics.wrappers.Running(torchmetrics.SumMetric(), window=3)
        self.val_mean, self.val_hand = torchmetrics.MeanMetric(), torchmetrics.CatMetric()
        self.epochs = torchmetrics.MetricTracker(torchmetrics.MeanMetric(), maximize=False)
        self.epochs_of_pair = torchmetrics.MetricTracker(
            torchmetrics.MetricCollection([torchmetrics.MeanMetric(), torchmetrics.MaxMetric()]), maximize=[True, True]
        )
        self.validations = torchmetrics.MetricTracker(torchmetrics.SumMetric(), maximize=False)
        self.seen: list[dict[str, Any]] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.increment()
        self.epochs_of_pair.increment()

    def on_validation_epoch_start(self) -> None:
        self.validations.increment()

    def _numbers(self, batch_idx: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(7 * self.trainer.current_epoch + batch_idx)
        return torch.rand(6, generator=generator), torch.randint(0, 2, (6,), generator=generator)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        rows = batch[0] if isinstance(batch, list) else batch
        loss = self.net(rows).square().mean()
        guess, truth = self._numbers(batch_idx)
        self.mean.update(loss.detach())
        self.curve.update(guess, truth)
        self.scores.update(guess, truth)
        self.by_hand.update(guess, truth + guess)
        self.pair.update(guess)
        self.running(guess.sum())
        self.epochs.update(guess)
        self.epochs_of_pair.update(guess)
        self.log("mean", self.mean, on_step=False, on_epoch=True)
        self.log("curve", self.curve, on_step=False, on_epoch=True)
        self.log_dict(self.scores, on_step=False, on_epoch=True)
        self.log("running", self.running, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        rows = batch[0] if isinstance(batch, list) else batch
        self.val_mean.update(self.net(rows).mean())
        self.val_hand.update(self.net(rows).mean())
        self.validations.update(self.net(rows).mean())
        self.log("val_mean", self.val_mean)

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.seen.append({"val_hand": self.val_hand.compute().tolist()})
            self.seen.append({"validations": self.validations.compute_all().tolist()})
        self.val_hand.reset()

    def on_train_epoch_end(self) -> None:
        found = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        self.seen.append({**found, "by_hand": float(self.by_hand.compute()), "count": self.by_hand.update_count})
        self.seen.append({name: float(value) for name, value in self.pair.compute().items()})
        self.seen.append({"epochs": self.epochs.compute_all().tolist()})
        self.seen.append({name: values.tolist() for name, values in self.epochs_of_pair.compute_all().items()})
        self.by_hand.reset()
        self.pair.reset()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Everywhere(Checkpoint):
    """Saves at all moments; the names count the calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.seen_by = folder, Counter[str](), dict[str, int]()

    def save(self, hook: str, trainer: Any) -> None:
        if not trainer.sanity_checking:
            self.calls[hook] += 1
            name = f"{hook}-{self.calls[hook]}"
            self.seen_by[name] = len(trainer.lightning_module.seen)
            trainer.save_checkpoint(self.folder / name)


for moment in MOMENTS:
    setattr(Everywhere, moment, lambda self, trainer, *_, hook=moment, **__: self.save(hook, trainer))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Everywhere, Measured]:
    torch.manual_seed(3)
    saver = Everywhere(tmp_path_factory.mktemp("states"))
    _, module = fit(Measured(), batches(N_BATCHES), batches(3), callbacks=saver, **OPTIONS)
    assert saver.calls == MOMENTS
    return saver, module


@pytest.mark.parametrize("name", [f"{hook}-{n + 1}" for hook, count in MOMENTS.items() for n in range(count)])
def test_epoch_values_of_a_resumed_run_count_the_whole_epoch(name: str, unbroken: tuple[Everywhere, Measured]) -> None:
    saver, whole = unbroken
    _, rest = fit(Measured(), batches(N_BATCHES), batches(3), saver.folder / name, **OPTIONS)
    done = saver.seen_by[name]
    assert rest.seen == whole.seen[done:]


def test_a_tracker_whose_metrics_are_in_the_weights_is_read_again(tmp_path: Path) -> None:
    def module() -> Measured:
        made = Measured()
        made.epochs._base_metric.persistent(True)
        return made

    done, whole = fit(module(), batches(N_BATCHES), max_epochs=3)
    done.save_checkpoint(tmp_path / "here")
    _, rest = fit(module(), batches(N_BATCHES), None, tmp_path / "here", max_epochs=4)
    assert "epochs.3.mean_value" in whole.state_dict()
    assert rest.epochs.n_steps == 4
    assert rest.seen[-2]["epochs"][:3] == whole.seen[-2]["epochs"]


def test_a_tracker_that_grows_before_training_is_as_long_as_it_was(tmp_path: Path) -> None:
    class Early(Measured):
        def on_fit_start(self) -> None:
            self.validations.increment()

    done, _ = fit(Early(), batches(N_BATCHES), batches(3), max_epochs=2)
    done.save_checkpoint(tmp_path / "here")
    _, rest = fit(Early(), batches(N_BATCHES), batches(3), tmp_path / "here", max_epochs=3)
    assert rest.validations.n_steps == 1 + 3


def test_files_stay_plain_and_the_modules_own_state_as_it_was(unbroken: tuple[Everywhere, Measured]) -> None:
    saver, whole = unbroken
    checkpoint = torch.load(saver.folder / "on_train_batch_end-3", weights_only=True)
    assert list(checkpoint["state_dict"]) == ["net.weight", "net.bias"] == list(whole.state_dict())
    states = checkpoint["trainer_core"]["metric_states"]
    assert len(states["curve"]["preds"]) == 3
    assert states["scores.BinaryRecall"]["_update_count"] == 3
    assert torch.equal(states["scores.BinaryRecall"]["tp"], states["scores.BinaryAccuracy"]["tp"])
    assert states["pair.second"]["_update_count"] == 3
    assert torch.equal(states["pair.second"]["mean_value"], states["pair.first"]["mean_value"])
    assert states["scores"]["groups"] == {0: ["BinaryAccuracy", "BinaryPrecision", "BinaryRecall"]}


def test_a_shared_state_is_that_of_the_metric_that_is_updated() -> None:
    """Some versions give the others their states only when they are read."""
    module = Measured()
    module.pair.update(torch.ones(3))
    module.pair["second"].mean_value, module.pair["second"]._update_count = torch.tensor(0.0), 0
    module.pair._state_is_copy = False
    found = metric_states(module)
    assert found["pair.second"]["mean_value"] == found["pair.first"]["mean_value"] == 3
    assert found["pair.second"]["_update_count"] == 1


def test_a_state_of_foreign_objects_is_left_out_with_a_warning(tmp_path: Path) -> None:
    class Odd(Measured):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.val_hand.value = [object()]
            return super().training_step(batch, batch_idx)

    done, _ = fit(Odd(), batches(N_BATCHES), limit_train_batches=2, max_epochs=1)
    with pytest.warns(UserWarning, match="The state of the metric `val_hand`"):
        done.save_checkpoint(tmp_path / "odd")
    assert "val_hand" not in torch.load(tmp_path / "odd", weights_only=True)["trainer_core"]["metric_states"]
