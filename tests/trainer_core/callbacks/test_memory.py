"""A step that runs out of memory is run again in parts, and ends where a run that fits ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Lines, batches, fit, trainer, weights
from trainer_core import LightningModule, MisconfigurationException
from trainer_core.callbacks import FitToMemory, ModelCheckpoint


class Backward(torch.autograd.Function):
    """Runs out of memory on the way back, when some gradients have been added already."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, too_many: bool) -> torch.Tensor:
        ctx.too_many = too_many
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        if ctx.too_many:
            raise torch.OutOfMemoryError("out of memory on the way back")
        return gradient, None


class Limited(LightningModule):
    """Takes at most `most` samples at a time, forwards or backwards; logs each loss."""

    def __init__(self, most: int = 10**6, *, backwards: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8) if norm else torch.nn.Tanh())
        self.last = torch.nn.Linear(8, 1)
        self.most, self.backwards = most, backwards
        self.calls: list[int] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x = batch[0]
        self.calls.append(len(x))
        too_many = len(x) > self.most
        if too_many and not self.backwards:
            raise torch.OutOfMemoryError("out of memory")
        hidden = self.first(x)
        loss = self.last(Backward.apply(hidden, too_many)).square().mean() + x.mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("count", float(len(x)), on_step=False, on_epoch=True, reduce_fx="sum")
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def trained(module: Limited, **options: Any) -> tuple[torch.Tensor, Lines, Limited]:
    torch.manual_seed(3)
    for layer in (module.first[0], module.last):
        layer.reset_parameters()  # type: ignore[union-attr, operator]
    lines = Lines()
    fit(module, batches(5, size=8), logger=lines, log_every_n_steps=1, max_epochs=2, **options)
    return weights(module), lines, module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("accumulated", [1, 2, 3])
def test_the_run_ends_where_one_that_fits_ends(accumulated: int, backwards: bool) -> None:
    options = {"accumulate_grad_batches": accumulated, "gradient_clip_val": 0.5}
    whole, told, fits = trained(Limited(), **options)
    parts, told_in_parts, module = trained(Limited(3, backwards=backwards), fit_to_memory=True, **options)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    assert module.trainer.global_step == fits.trainer.global_step
    for name in ("loss_step", "loss_epoch", "count"):
        ours, theirs = told_in_parts.values_of(name), told.values_of(name)
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-5, atol=1e-6)
    assert set(module.calls[5:]) == {2}


@pytest.mark.filterwarnings("ignore")
def test_memory_that_runs_out_inside_a_window_begins_the_window_again() -> None:
    """The first batch fits and has added its gradients; the second, which does not, has added some of its own."""

    class Later(Limited):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            self.most = 3 if batch_idx % 3 == 1 else 100
            return super().training_step(batch, batch_idx)

    whole, _, _ = trained(Limited(), accumulate_grad_batches=3)
    parts, _, _ = trained(Later(backwards=True), accumulate_grad_batches=3, fit_to_memory=True)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_while_all_fits_the_bits_are_those_without() -> None:
    assert torch.equal(trained(Limited(), fit_to_memory=True)[0], trained(Limited())[0])


@pytest.mark.filterwarnings("ignore")
def test_dropout_of_a_run_again_is_that_of_the_first_time() -> None:
    """Only the first call of each batch fails, so that the second one runs the whole batch with the same numbers."""

    class Dropped(Limited):
        failed = False

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            drawn = torch.rand(len(batch[0]))
            if not self.failed:
                self.failed = True
                self.drawn = drawn
                raise torch.OutOfMemoryError("out of memory")
            if batch_idx == 0 and len(self.calls) == 0:
                assert torch.equal(drawn, self.drawn[: len(drawn)])
            return super().training_step(batch, batch_idx)

    module = Dropped()
    trained(module, fit_to_memory=True)
    assert module.failed
    assert module.calls[0] == 4


@pytest.mark.filterwarnings("ignore")
def test_one_sample_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        trained(Limited(0), fit_to_memory=True)


def test_batchnorm_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="BatchNorm, whose statistics are now over 4 samples instead of 8"):
        trained(Limited(4, norm=True), fit_to_memory=True)


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_knows_the_size(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    trained(Limited(3), callbacks=[saver, FitToMemory()])
    again = Limited(3)
    fit(again, batches(5, size=8), max_epochs=2, callbacks=[FitToMemory()], ckpt_path=tmp_path / "step=3.ckpt")
    assert set(again.calls) == {2}


def test_what_cannot_be_done_is_refused() -> None:
    class Manual(Limited):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

    with pytest.raises(MisconfigurationException, match="fit_to_memory: got True, allowed is False with manual"):
        fit(Manual(), batches(2), fit_to_memory=True)
    with pytest.raises(ValueError, match="micro_batch_size: got 0"):
        FitToMemory(0)
    assert not any(isinstance(c, FitToMemory) for c in trainer().callbacks)
    assert any(isinstance(c, FitToMemory) for c in trainer(fit_to_memory=True).callbacks)
