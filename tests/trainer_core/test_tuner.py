"""The tuner leaves no trace, whatever happens in its trials; what it finds; what it refuses."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.small import Endless, Lines, batches, trainer, weights
from tests.trainer_core.tracks import track
from trainer_core import LightningDataModule, LightningModule, seed_everything
from trainer_core.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateFinder,
    ModelCheckpoint,
)
from trainer_core.data.combined import CombinedLoader
from trainer_core.errors import MisconfigurationException, SIGTERMException
from trainer_core.loggers import CSVLogger
from trainer_core.tuner import Tuner
from trainer_core.tuner.batch_size import bisect, double


@pytest.fixture(autouse=True)
def _seeded() -> None:
    seed_everything(0, verbose=False)


class Busy(LightningModule):
    """Changes all that a module can change: buffers, its own lists and tensors, random streams, gradients, logs."""

    def __init__(self, lr: float = 0.05, fits: int = 10**9, raises_at: int = -1, n_samples: int = 256) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.lr, self.batch_size, self.fits, self.raises_at = lr, 8, fits, raises_at
        self.total, self.calls, self.seen = torch.zeros(1), 0, [0]
        generator = torch.Generator().manual_seed(3)
        x = torch.randn(n_samples, 4, generator=generator)
        self.data = TensorDataset(x, x.sum(1, keepdim=True))

    def setup(self, stage: str) -> None:
        torch.randperm(4)
        random.random()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self._touch(batch)
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("loss", loss, prog_bar=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._touch(batch)
        self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._touch(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        self._touch(batch)
        return batch[1]

    def _touch(self, batch: Any) -> None:
        self.total += 1
        self.calls += 1
        self.seen.append(len(batch[0]))
        random.random()
        if self.calls == self.raises_at:
            raise ZeroDivisionError("in the trial")
        if len(batch[0]) > self.fits:
            raise torch.OutOfMemoryError("simulated")

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]

    def train_dataloader(self) -> Any:
        return DataLoader(self.data, batch_size=self.batch_size, shuffle=True)

    val_dataloader = test_dataloader = predict_dataloader = lambda self: DataLoader(self.data, self.batch_size)


class Data(LightningDataModule):
    def __init__(self, batch_size: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = batch_size

    def train_dataloader(self) -> Any:
        return batches(64 // self.batch_size, self.batch_size)


def busy_trainer(folder: Path, **options: Any) -> Any:
    callbacks = [EarlyStopping("val_loss"), EMAWeightAveraging(), ModelCheckpoint(folder / "ckpt", monitor="val_loss")]
    chosen = {"default_root_dir": folder, "max_epochs": 3, "callbacks": callbacks, "logger": CSVLogger(folder)}
    return trainer(**{**chosen, "enable_progress_bar": None, "num_sanity_val_steps": 2, **options})


FIND: dict[str, Any] = {
    "lr_find": lambda tuner, module: tuner.lr_find(module, num_training=40, update_attr=False),
    "power": lambda tuner, module: tuner.scale_batch_size(module),
    "binsearch": lambda tuner, module: tuner.scale_batch_size(module, mode="binsearch"),
    "validate": lambda tuner, module: tuner.scale_batch_size(module, method="validate"),
    "test": lambda tuner, module: tuner.scale_batch_size(module, method="test"),
    "predict": lambda tuner, module: tuner.scale_batch_size(module, method="predict"),
}


def without_size(tracked: dict[str, str]) -> dict[str, str]:
    return {name: found for name, found in tracked.items() if name != "attributes"}


@pytest.mark.parametrize("name", FIND)
def test_the_tuner_leaves_no_trace(name: str, tmp_path: Path) -> None:
    seed_everything(1, verbose=False)
    module, ours = Busy(fits=50), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    found = FIND[name](Tuner(ours), module)
    # The one thing that changes is the attribute that was asked for.
    if name != "lr_find":
        assert module.batch_size == found
        module.batch_size = 8
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("name", FIND)
def test_a_trial_that_raises_leaves_no_trace(name: str, tmp_path: Path) -> None:
    seed_everything(1, verbose=False)
    module, ours = Busy(raises_at=7), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    with pytest.raises(ZeroDivisionError, match="in the trial"):
        FIND[name](Tuner(ours), module)
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("name", [name for name in FIND if name != "lr_find"])
def test_when_nothing_fits_it_says_so_and_leaves_no_trace(name: str, tmp_path: Path) -> None:
    module, ours = Busy(fits=0), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    with pytest.raises(MemoryError, match="tried were 2, 1"):
        FIND[name](Tuner(ours), module)
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("name", FIND)
def test_a_run_that_was_tuned_before_is_the_same_run(name: str, tmp_path: Path) -> None:
    def run(tuned: bool) -> Tensor:
        seed_everything(2, verbose=False)
        module, ours = Busy(), trainer(max_epochs=2, default_root_dir=tmp_path)
        if tuned:
            FIND[name](Tuner(ours), module)
            module.batch_size = 8
        ours.fit(module)
        return weights(module)

    assert torch.equal(run(True), run(False))


@pytest.mark.parametrize("name", FIND)
def test_after_a_run_the_trainer_stays_at_its_end(name: str, tmp_path: Path) -> None:
    module, ours = Busy(), busy_trainer(tmp_path)
    ours.fit(module)
    before = track(ours, module, tmp_path)
    FIND[name](Tuner(ours), module)
    module.batch_size = 8
    after = track(ours, module, tmp_path)
    assert {k for k in before if before[k] != after[k]} == set()
    assert ours.global_step == 96


@pytest.mark.parametrize("combined", [False, True])
def test_given_loaders_keep_their_own_random_stream(combined: bool, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    module, ours = Busy(), busy_trainer(tmp_path)
    loader = DataLoader(module.data, 8, shuffle=True, generator=generator)
    state = generator.get_state()
    Tuner(ours).lr_find(module, CombinedLoader(loader) if combined else loader, num_training=40)
    assert torch.equal(generator.get_state(), state)
    assert loader._iterator is None


def test_a_stop_signal_ends_the_search_without_a_trace(tmp_path: Path) -> None:
    class Stopped(Busy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self.trainer.received_sigterm = batch_idx == 3
            return super().training_step(batch, batch_idx)

    module, ours = Stopped(), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    with pytest.raises(SIGTERMException):
        Tuner(ours).lr_find(module)
    assert track(ours, module, tmp_path) == before


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_weights_get_their_bits_back_after_a_casting_precision(precision: str, tmp_path: Path) -> None:
    module, ours = Busy(), busy_trainer(tmp_path, precision=precision)
    before = track(ours, module, tmp_path)
    Tuner(ours).lr_find(module, num_training=12, update_attr=False)
    assert track(ours, module, tmp_path) == before


# What is found.


def test_a_search_that_is_asked_for_a_rate_sets_it_everywhere(tmp_path: Path) -> None:
    module, ours = Busy(), busy_trainer(tmp_path)
    found = Tuner(ours).lr_find(module, num_training=60, max_lr=0.5)
    assert found is not None
    assert found.results["lr"][0] == 1e-8
    assert found.results["lr"][-1] <= 0.5
    assert found.suggestion() == module.lr == module.hparams.lr
    assert 1e-8 < module.lr < 0.5


def test_another_attribute_may_hold_the_rate(tmp_path: Path) -> None:
    class Other(Busy):
        def __init__(self) -> None:
            super().__init__()
            self.rate = 0.3

    module = Other()
    found = Tuner(busy_trainer(tmp_path)).lr_find(module, num_training=30, attr_name="rate", early_stop_threshold=None)
    assert found is not None
    assert (module.rate, module.lr) == (found.suggestion(), 0.05)
    with pytest.raises(AttributeError, match="attr_name: got 'speed'"):
        Tuner(busy_trainer(tmp_path)).lr_find(module, attr_name="speed")


def test_manual_optimisation_is_searched_too(tmp_path: Path) -> None:
    class Manual(Busy):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.rates: list[float] = []

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            optimizer = self.optimizers()
            self.rates.append(optimizer.param_groups[0]["lr"])
            loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.lr_schedulers().step()
            assert self.rates == sorted(self.rates)
            return loss

    module, ours = Manual(), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    found = Tuner(ours).lr_find(module, num_training=40, update_attr=False, early_stop_threshold=None)
    assert found is not None
    assert len(found.results["lr"]) == 40
    assert track(ours, module, tmp_path) == before


def test_steps_without_a_loss_do_not_count(tmp_path: Path) -> None:
    class Skips(Busy):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            return None if batch_idx % 2 else loss

    found = Tuner(busy_trainer(tmp_path)).lr_find(
        Skips(), num_training=30, update_attr=False, early_stop_threshold=None
    )
    assert found is not None
    assert sum(value != value for value in found.results["loss"]) == 15
    assert found.suggestion() is not None


def test_the_suggestion_can_be_asked_without_skipping(tmp_path: Path) -> None:
    found = Tuner(busy_trainer(tmp_path)).lr_find(Busy(), num_training=5, update_attr=False)
    assert found is not None
    with pytest.warns(UserWarning, match="No learning rate can be suggested"):
        assert found.suggestion() is None
    assert found.suggestion(skip_begin=0, skip_end=0) in found.results["lr"]


def test_the_plot_marks_the_suggestion(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    found = Tuner(busy_trainer(tmp_path)).lr_find(Busy(), num_training=30, update_attr=False)
    assert found is not None
    (axes,) = found.plot(suggest=True).axes
    assert axes.get_xscale() == "log"
    assert [len(line.get_xdata()) for line in axes.lines] == [len(found.results["lr"]), 1]
    assert axes.lines[1].get_xdata()[0] == found.suggestion()


@pytest.mark.parametrize(
    ("search", "fits", "start", "trials", "largest", "expected", "tried"),
    [
        (double, 50, 2, 25, 8192, 32, [2, 4, 8, 16, 32, 64]),
        (double, 50, 2, 3, 8192, 8, [2, 4, 8]),
        (double, 5, 64, 25, 8192, 4, [64, 32, 16, 8, 4]),
        (double, 0, 4, 25, 8192, 0, [4, 2, 1]),
        (double, 10**9, 2, 25, 20, 20, [2, 4, 8, 16, 20]),
        (double, 18, 2, 25, 20, 16, [2, 4, 8, 16, 20]),
        (double, 1, 1, 25, 1, 1, [1]),
        (bisect, 50, 2, 25, 8192, 50, [2, 4, 8, 16, 32, 64, 48, 56, 52, 50, 51]),
        (bisect, 7, 60, 25, 8192, 7, [60, 30, 15, 7, 11, 9, 8]),
        (bisect, 0, 4, 25, 8192, 0, [4, 2, 1]),
        (bisect, 10**9, 2, 25, 20, 20, [2, 4, 8, 16, 20]),
        (bisect, 18, 2, 4, 20, 16, [2, 4, 8, 16]),
    ],
)
def test_the_searches(
    search: Any, fits: int, start: int, trials: int, largest: int, expected: int, tried: list[int]
) -> None:
    seen: list[int] = []

    def does_fit(size: int) -> bool:
        seen.append(size)
        return size <= fits

    assert search(does_fit, start, trials, largest) == expected
    assert seen == tried


def test_the_size_of_a_datamodule_is_found_and_set(tmp_path: Path) -> None:
    class Plain(Busy):
        def __init__(self) -> None:
            super().__init__(fits=20)
            del self.batch_size

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            self._touch(batch)
            return self.net(batch[0]).mean()

    module, data, ours = Plain(), Data(), busy_trainer(tmp_path)
    before = track(ours, module, tmp_path)
    assert Tuner(ours).scale_batch_size(module, datamodule=data) == 16
    assert (data.batch_size, data.hparams.batch_size) == (16, 16)
    assert track(ours, module, tmp_path) == before


def test_never_more_than_the_data_has(tmp_path: Path) -> None:
    module = Busy(n_samples=100)
    assert Tuner(busy_trainer(tmp_path)).scale_batch_size(module) == 100


def test_every_trial_uses_its_size_from_the_first(tmp_path: Path) -> None:
    sizes: list[int] = []

    class Seen(Busy):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            sizes.append(len(batch[0]))
            return super().training_step(batch, batch_idx)

    Tuner(busy_trainer(tmp_path)).scale_batch_size(Seen(fits=30), init_val=16, steps_per_trial=2)
    assert sizes == [16, 16, 32]


# As callbacks.


def test_the_run_goes_on_with_the_rate_that_was_found(tmp_path: Path) -> None:
    class Keeps(Busy):
        rates: list[float]

        def on_train_start(self) -> None:
            Keeps.rates = [self.optimizers().param_groups[0]["lr"], *self.lr_schedulers().base_lrs]

    finder, saver = LearningRateFinder(num_training_steps=40), ModelCheckpoint(tmp_path, filename="one")
    module, ours = Keeps(), trainer(callbacks=[finder, saver], default_root_dir=tmp_path)
    ours.fit(module)
    assert finder.optimal_lr is not None
    assert Keeps.rates == [module.lr, module.lr]
    assert ours.global_step == 32
    # A resumed run takes the rate of the first, without another search.
    again, resumed = LearningRateFinder(num_training_steps=40), Keeps()
    trainer(callbacks=[again, saver], max_epochs=2, default_root_dir=tmp_path).fit(
        resumed, ckpt_path=tmp_path / "one.ckpt"
    )
    assert (again.optimal_lr, resumed.lr) == (None, module.lr)


@pytest.mark.parametrize("name", ["fit", "validate", "test", "predict"])
def test_the_loop_goes_on_with_the_size_that_was_found(name: str, tmp_path: Path) -> None:
    sizes: list[int] = []

    class Seen(Busy):
        def _touch(self, batch: Any) -> None:
            sizes.append(len(batch[0]))
            super()._touch(batch)

    finder, module = BatchSizeFinder(), Seen(fits=70)
    ours = trainer(callbacks=[finder], default_root_dir=tmp_path, limit_val_batches=1.0)
    getattr(ours, name)(module)
    assert finder.optimal_batch_size == module.batch_size == 64
    expected = [64] * 8 if name == "fit" else [64] * 4
    assert sizes[-len(expected) :] == expected


def test_a_search_in_the_middle_of_a_run(tmp_path: Path) -> None:
    class Later(BatchSizeFinder):
        def on_fit_start(self, *args: Any) -> None:
            pass

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                self.scale_batch_size(trainer, pl_module)

    class LaterRate(LearningRateFinder):
        def on_fit_start(self, *args: Any) -> None:
            pass

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 2:
                self.lr_find(trainer, pl_module)

    module, rate = Busy(fits=70), LaterRate(num_training_steps=30, early_stop_threshold=None)
    ours = trainer(callbacks=[Later(), rate], max_epochs=3, default_root_dir=tmp_path, limit_val_batches=0)
    ours.fit(module)
    assert ours.global_step == 32 + 4 + 4
    assert rate.optimal_lr is not None
    assert len(rate.optimal_lr.results["lr"]) == 30


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_search_in_the_middle_of_a_run_leaves_no_trace(by_hand: bool, tmp_path: Path) -> None:
    class Steps(Busy):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = not by_hand

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            if by_hand:
                self.optimizers().zero_grad()
                self.manual_backward(loss)
                self.optimizers().step()
                self.lr_schedulers().step()
            return loss

    found: list[Any] = []

    class Later(LearningRateFinder):
        def on_fit_start(self, *args: Any) -> None:
            pass

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                found.append(track(trainer, pl_module, tmp_path))
                self.lr_find(trainer, pl_module)
                self.optimal_lr = None
                found.append(track(trainer, pl_module, tmp_path))

    ours = busy_trainer(
        tmp_path, callbacks=[Later(num_training_steps=40, update_attr=False), EarlyStopping("val_loss")]
    )
    ours.fit(Steps())
    assert found[0] == found[1]


def test_finders_run_before_all_other_callbacks(tmp_path: Path) -> None:
    callbacks = [EarlyStopping("val_loss"), LearningRateFinder(), BatchSizeFinder()]
    kinds = [type(c).__name__ for c in trainer(callbacks=callbacks).callbacks]
    assert kinds[:2] == ["LearningRateFinder", "BatchSizeFinder"]


# What is refused.


def test_what_does_not_fit_together_is_named(tmp_path: Path) -> None:
    module, ours = Busy(), busy_trainer(tmp_path)
    tuner = Tuner(ours)
    with pytest.raises(MisconfigurationException, match="method"):
        tuner.lr_find(module, method="test")
    with pytest.raises(ValueError, match="method: got 'train'"):
        tuner.scale_batch_size(module, method="train")  # type: ignore[arg-type]
    with pytest.raises(MisconfigurationException, match="dataloaders: got some with method='fit'"):
        tuner.scale_batch_size(module, dataloaders=batches())
    with pytest.raises(MisconfigurationException, match="allowed is dataloaders"):
        tuner.scale_batch_size(module, train_dataloaders=batches(), method="test")
    with pytest.raises(MisconfigurationException, match="implement `train_dataloader`"):
        tuner.scale_batch_size(module, batches())
    with pytest.raises(MisconfigurationException, match="batch_arg_name: got 'size'"):
        tuner.scale_batch_size(module, batch_arg_name="size")
    with pytest.raises(ValueError, match="mode: got 'triple'"):
        tuner.scale_batch_size(module, mode="triple")
    with pytest.raises(ValueError, match="margin"):
        tuner.scale_batch_size(module, margin=1.0)
    with pytest.raises(ValueError, match="init_val"):
        tuner.scale_batch_size(module, init_val=0)
    with pytest.raises(ValueError, match="min_lr"):
        tuner.lr_find(module, min_lr=0.1, max_lr=0.01)
    with pytest.raises(ValueError, match="LearningRateFinder callback already"):
        Tuner(trainer(callbacks=[LearningRateFinder()])).lr_find(module)


def test_two_optimizers_are_refused(tmp_path: Path) -> None:
    class Two(Busy):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.parameters(), 0.1), torch.optim.SGD(self.parameters(), 0.1)]

    with pytest.raises(MisconfigurationException, match="1 optimizer, there are 2"):
        Tuner(busy_trainer(tmp_path)).lr_find(Two())


def test_a_dry_run_searches_nothing(tmp_path: Path) -> None:
    module, ours = Busy(), trainer(fast_dev_run=True, default_root_dir=tmp_path)
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert Tuner(ours).lr_find(module) is None
    with pytest.warns(UserWarning, match="fast_dev_run"):
        assert Tuner(ours).scale_batch_size(module) is None
    assert module.calls == 0


def test_data_without_a_length_is_searched_too(tmp_path: Path) -> None:
    class Streams(Busy):
        def train_dataloader(self) -> Any:
            return Endless(50)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.net(batch[0]).square().mean()

    found = Tuner(busy_trainer(tmp_path, logger=Lines())).lr_find(
        Streams(), num_training=70, update_attr=False, early_stop_threshold=None
    )
    assert found is not None
    assert len(found.results["lr"]) == 70


def test_an_iterator_is_refused_as_it_would_be_used_up(tmp_path: Path) -> None:
    loader = iter(list(batches(50)))
    with pytest.raises(MisconfigurationException, match="read once only"):
        Tuner(busy_trainer(tmp_path)).lr_find(Busy(), loader)
    assert len(list(loader)) == 50
