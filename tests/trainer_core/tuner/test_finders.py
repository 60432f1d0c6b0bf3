"""The finders as callbacks, before and within a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.trainer_core.small import trainer
from tests.trainer_core.tracks import track
from tests.trainer_core.tuner.subject import Busy, busy_trainer
from trainer_core.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    LearningRateFinder,
    ModelCheckpoint,
)


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
