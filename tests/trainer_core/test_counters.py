"""Counters and stopping: what counts as a step, an epoch, and when a run ends (semantics 1–11)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Line, Lines, Validated, batches, fit, trainer, with_methods
from trainer_core import Callback


class Stop(Callback):
    """Asks for a stop after a batch."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.batches: list[int] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch_idx)
        if batch_idx + 1 == self.at:
            trainer.should_stop = True


def test_001_global_step_counts_optimizer_steps_not_batches() -> None:
    done, _ = fit(accumulate_grad_batches=4)
    assert done.global_step == 3


class TwoOptimizers(Line):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.layer(batch[0]).square().mean())
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]


def test_002_manual_optimization_counts_every_optimizer() -> None:
    done, _ = fit(TwoOptimizers(), batches(3))
    assert done.global_step == 6
    done, _ = fit(TwoOptimizers(), batches(9), max_steps=5)
    assert done.global_step == 6


def test_003_loggers_count_batches_that_stepped() -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        TwoOptimizers.training_step(self, batch, batch_idx)
        self.log("x", 1.0)

    lines = Lines()
    done, _ = fit(
        with_methods(TwoOptimizers, training_step=training_step), batches(3), logger=lines, log_every_n_steps=1
    )
    assert done.global_step == 6
    assert lines.steps_of("x") == [0, 1, 2]


def test_004_current_epoch_is_the_number_of_finished_epochs() -> None:
    seen: list[int] = []
    module = with_methods(Line, on_train_epoch_end=lambda self: seen.append(self.current_epoch))
    done, _ = fit(module, max_epochs=3)
    assert seen == [0, 1, 2]
    assert done.current_epoch == 3


@pytest.mark.filterwarnings("ignore:.*returned `None`")
def test_005_a_step_without_loss_still_steps_the_optimizer() -> None:
    calls: list[str] = []
    module = with_methods(
        Line,
        training_step=lambda self, batch, batch_idx: None,
        on_before_optimizer_step=lambda self, optimizer: calls.append("step"),
        on_after_backward=lambda self: calls.append("backward"),
    )
    done, _ = fit(module, batches(2))
    assert done.global_step == 2
    assert calls == ["step", "step"]


def test_006_without_limits_there_are_1000_epochs() -> None:
    with pytest.warns(UserWarning, match="1000"):
        assert trainer(max_epochs=None).max_epochs == 1000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trainer(max_epochs=None, max_steps=5).max_epochs == -1
        assert trainer(max_epochs=None, max_time="00:00:10:00").max_epochs == -1


def test_007_a_second_fit_of_a_finished_trainer_says_that_there_is_nothing_to_do() -> None:
    """Lightning returns at once without a word. Ours warns; raising `fit_loop.max_epochs` trains on."""
    done, module = fit()
    with pytest.warns(UserWarning, match="nothing to do"):
        done.fit(module, batches())
    assert done.global_step == 10
    done.fit_loop.max_epochs = 2
    done.fit(module, batches())
    assert (done.global_step, done.current_epoch) == (20, 2)


def test_008_a_stop_waits_for_the_minimum_of_epochs_and_steps() -> None:
    done, _ = fit(train=batches(4), callbacks=Stop(2), max_epochs=5, min_epochs=2)
    assert done.current_epoch == 2
    done, _ = fit(train=batches(4), callbacks=Stop(2), max_epochs=5, min_steps=7)
    assert done.global_step == 7


def test_009_a_stop_inside_an_epoch_validates_first() -> None:
    order: list[str] = []
    module = with_methods(
        Validated,
        on_validation_start=lambda self: order.append(f"val {self.trainer.global_step}"),
        on_train_epoch_end=lambda self: order.append("epoch end"),
    )
    fit(module, batches(10), batches(1), callbacks=Stop(3))
    assert order == ["val 3", "epoch end"]


def test_010_minus_one_from_on_train_batch_start_skips_the_rest_of_the_epoch() -> None:
    order: list[str] = []
    module = with_methods(
        Line,
        on_train_batch_start=lambda self, batch, batch_idx: -1 if batch_idx == 2 else None,
        on_train_batch_end=lambda self, outputs, batch, batch_idx: order.append(f"end {batch_idx}"),
        on_train_epoch_end=lambda self: order.append("epoch end"),
    )

    def configure(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]

    type(module).configure_optimizers = configure
    done, _ = fit(module, max_epochs=2)
    assert order == ["end 0", "end 1", "epoch end"] * 2
    assert done.global_step == 4
    assert done.optimizers[0].param_groups[0]["lr"] == 0.25


@pytest.mark.filterwarnings("ignore:.*0 length")
def test_011_without_batches_only_setup_and_fit_hooks_run() -> None:
    order: list[str] = []
    module = with_methods(
        Line,
        setup=lambda self, stage: order.append(f"setup {stage}"),
        on_fit_start=lambda self: order.append("fit start"),
        on_train_start=lambda self: order.append("train start"),
        on_fit_end=lambda self: order.append("fit end"),
        teardown=lambda self, stage: order.append("teardown"),
    )
    fit(module, limit_train_batches=0)
    assert order == ["setup fit", "fit start", "fit end", "teardown"]
    order.clear()
    fit(module, [])
    assert order == ["setup fit", "fit start", "fit end", "teardown"]
