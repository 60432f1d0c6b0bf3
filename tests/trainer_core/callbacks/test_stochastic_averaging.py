"""Stochastic weight averaging: what it averages, what the extra epoch does, and that it survives a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainer_core.small import Line, batches, fit, weights
from trainer_core import seed_everything
from trainer_core.callback import Callback
from trainer_core.callbacks import StochasticWeightAveraging
from trainer_core.errors import MisconfigurationException


class Normed(Line):
    """With BatchNorm, momentum in the optimizer, and a scheduler that SWA replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.3), nn.Dropout(0.2), nn.Linear(3, 1))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


class Trace(Callback):
    """Weights at each epoch's start and end, learning rate at every batch."""

    def __init__(self) -> None:
        self.at_start: list[torch.Tensor] = []
        self.at_end: list[torch.Tensor] = []
        self.lrs: list[float] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.at_start.append(weights(pl_module))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.at_end.append(weights(pl_module))

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.lrs.append(trainer.optimizers[0].param_groups[0]["lr"])


def swa(start: int | float = 2, strategy: Any = "linear", annealing: int = 3) -> StochasticWeightAveraging:
    return StochasticWeightAveraging(
        0.02, swa_epoch_start=start, annealing_epochs=annealing, annealing_strategy=strategy
    )


def test_weights_are_the_mean_of_the_epoch_starts_from_the_start_epoch_on() -> None:
    trace = Trace()
    trainer, module = fit(callbacks=[trace, swa()], max_epochs=4)
    assert torch.allclose(weights(module), torch.stack(trace.at_start[1:4]).mean(0), atol=1e-7)
    assert trainer.current_epoch == 4
    assert not torch.equal(weights(module), trace.at_end[-1])


def test_109_one_more_epoch_renews_batch_norm_without_touching_weights() -> None:
    seed_everything(3, verbose=False)
    trace = Trace()
    module = Normed()
    trainer, _ = fit(module, callbacks=[swa(), trace], max_epochs=3, accumulate_grad_batches=2)
    assert trainer.current_epoch == 4
    assert trainer.global_step == 3 * 5 + 1
    assert trainer.max_epochs == 3
    assert trainer.accumulate_grad_batches == 2
    # The gradients that the last update left, its momentum and its weight decay are not applied to the averages.
    assert torch.equal(trace.at_start[3], trace.at_end[3])
    assert torch.equal(weights(module), trace.at_end[3])
    norm, first = module.layer[1], module.layer[0]
    assert norm.momentum == 0.3
    assert int(norm.num_batches_tracked) == 10
    with torch.no_grad():
        means = torch.stack([first(x).mean(0) for x, _ in batches()])
    assert torch.allclose(norm.running_mean, means.mean(0), atol=1e-6)


def test_a_training_that_ends_early_keeps_its_own_weights() -> None:
    trace = Trace()
    _, module = fit(callbacks=[trace, swa()], max_epochs=4, max_steps=25)
    assert torch.equal(weights(module), trace.at_end[-1])


@pytest.mark.parametrize(("strategy", "annealing"), [("linear", 3), ("cos", 8), ("linear", 0)])
@pytest.mark.parametrize("stop_at", [4, 13, 20, 36, 40, 44, 50])
def test_resumed_anywhere_it_ends_in_the_same_bits(tmp_path: Path, stop_at: int, strategy: str, annealing: int) -> None:
    def run(ckpt_path: Any = None) -> tuple[Any, torch.Tensor, list[float]]:
        seed_everything(5 if ckpt_path is None else 99, verbose=False)
        trace = Trace()
        data = batches(10, shuffle=True)
        trainer, module = fit(
            Normed(),
            data,
            callbacks=[swa(2, strategy, annealing), trace, Keep(tmp_path)],
            max_epochs=4,
            ckpt_path=ckpt_path,
        )
        everything = torch.cat([v.detach().double().flatten() for v in module.state_dict().values()])
        return trainer, everything, trace.lrs

    class Keep(Callback):
        """A file after every batch, also where no step was done."""

        def __init__(self, folder: Path) -> None:
            self.folder = folder

        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            trainer.save_checkpoint(self.folder / f"batch-{trainer.fit_loop.total_batch_idx + 1}.ckpt")

    whole, expected, lrs = run()
    again, found, rest = run(tmp_path / f"batch-{stop_at}.ckpt")
    assert torch.equal(found, expected)
    assert rest == lrs[stop_at:]
    assert (again.global_step, again.current_epoch) == (whole.global_step, whole.current_epoch) == (41, 5)


def test_an_error_leaves_the_trainer_as_it_was() -> None:
    class Fails(Normed):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            if self.trainer.current_epoch == 2:
                raise ZeroDivisionError
            return super().training_step(batch, batch_idx)

    from tests.trainer_core.small import trainer as make

    trainer, module = make(callbacks=[swa(1)], max_epochs=2, accumulate_grad_batches=3), Fails()
    with pytest.raises(ZeroDivisionError):
        trainer.fit(module, batches())
    assert (trainer.max_epochs, trainer.accumulate_grad_batches, module.layer[1].momentum) == (2, 3, 0.3)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"swa_lrs": 1}, "swa_lrs"),
        ({"swa_lrs": [0.1, -0.1]}, "swa_lrs"),
        ({"swa_lrs": 0.1, "swa_epoch_start": 0}, "swa_epoch_start"),
        ({"swa_lrs": 0.1, "swa_epoch_start": 1.5}, "swa_epoch_start"),
        ({"swa_lrs": 0.1, "avg_fn": 3}, "avg_fn"),
        ({"swa_lrs": 0.1, "device": 3}, "device"),
    ],
)
def test_wrong_arguments_are_named(options: Any, name: str) -> None:
    with pytest.raises(MisconfigurationException, match=f"^{name}: got"):
        StochasticWeightAveraging(**options)


def test_a_share_of_endless_epochs_is_refused() -> None:
    with pytest.raises(MisconfigurationException, match="max_epochs=-1"):
        fit(callbacks=[swa(0.5)], max_epochs=-1, max_steps=5)


def test_an_extra_epoch_that_would_train_by_hand_is_refused() -> None:
    module = Normed()
    module.automatic_optimization = False
    with pytest.raises(MisconfigurationException, match="automatic optimization"):
        fit(module, callbacks=[swa()], max_epochs=3)
