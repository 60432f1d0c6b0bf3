"""What the tuner finds, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainer_core.small import Endless, Lines, batches, trainer
from tests.trainer_core.tracks import track
from tests.trainer_core.tuner.subject import Busy, Data, busy_trainer
from trainer_core.callbacks import (
    LearningRateFinder,
)
from trainer_core.errors import MisconfigurationException
from trainer_core.tuner import Tuner
from trainer_core.tuner.batch_size import bisect, double


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
