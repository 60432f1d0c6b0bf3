"""When learning-rate schedulers step (semantics 26–31)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from tests.trainer_core.small import Endless, Line, Validated, batches, fit, trainer, with_methods
from trainer_core import MisconfigurationException


def scheduled(base: type = Line, kind: Any = None, **config: Any) -> Any:
    """A module whose scheduler halves the rate at every step."""

    def configure(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        scheduler = kind(optimizer) if kind else StepLR(optimizer, 1, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **config}}

    return with_methods(base, configure_optimizers=configure)


def halvings(done: Any) -> int:
    rate = done.optimizers[0].param_groups[0]["lr"]
    return round(-torch.log2(torch.tensor(rate)).item())


def test_026_frequency_counts_optimizer_steps_of_the_run() -> None:
    """Lightning tests the index of the batch in its epoch, so that 20 never fires with 10 batches an epoch."""
    assert halvings(fit(scheduled(interval="step", frequency=20), max_epochs=4)[0]) == 2
    done, _ = fit(scheduled(interval="step", frequency=3), batches(12), accumulate_grad_batches=2)
    assert done.global_step == 6
    assert halvings(done) == 2
    assert halvings(fit(scheduled(interval="step"), accumulate_grad_batches=4)[0]) == 3
    assert halvings(fit(scheduled(interval="epoch", frequency=2), max_epochs=5)[0]) == 2


def test_027_epoch_schedulers_step_before_the_last_on_train_batch_end_and_before_validation() -> None:
    seen: list[tuple[str, float]] = []

    def rate(self: Any) -> float:
        return self.trainer.optimizers[0].param_groups[0]["lr"]

    module = scheduled(Validated)
    kind = type(module)
    kind.on_train_batch_end = lambda self, outputs, batch, batch_idx: seen.append((f"batch {batch_idx}", rate(self)))
    kind.on_validation_start = lambda self: seen.append(("validation", rate(self)))
    fit(module, batches(2), batches(1))
    assert seen == [("batch 0", 1.0), ("batch 1", 0.5), ("validation", 0.5)]


def test_028_plateau_schedulers_step_after_the_epoch_with_the_watched_metric() -> None:
    order: list[Any] = []

    def configure(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return {"optimizer": optimizer, "lr_scheduler": ReduceLROnPlateau(optimizer), "monitor": "val_loss"}

    def step(self: Any, scheduler: Any, metric: Any) -> None:
        order.append(metric.item())

    module = with_methods(
        Validated,
        configure_optimizers=configure,
        lr_scheduler_step=step,
        on_train_epoch_end=lambda self: order.append("epoch end"),
    )
    done, _ = fit(module, batches(2), batches(1))
    assert order == ["epoch end", done.callback_metrics["val_loss"].item()]


def test_028_a_plateau_scheduler_by_steps_steps_after_that_batchs_validation() -> None:
    order: list[str] = []
    module = scheduled(Validated, ReduceLROnPlateau, interval="step", monitor="val_loss", strict=True)
    kind = type(module)
    kind.on_validation_end = lambda self: order.append("validation")
    kind.lr_scheduler_step = lambda self, scheduler, metric: order.append("plateau")
    fit(module, batches(2), batches(1), val_check_interval=1)
    assert order == ["validation", "plateau"] * 2


def test_028_a_missing_metric_is_an_error_or_a_warning() -> None:
    with pytest.raises(MisconfigurationException, match="nothing"):
        fit(scheduled(Line, ReduceLROnPlateau, monitor="nothing"))
    with pytest.warns(UserWarning, match="nothing"):
        fit(scheduled(Line, ReduceLROnPlateau, monitor="nothing", strict=False))


def test_029_schedulers_that_cannot_work_are_refused() -> None:
    with pytest.raises(MisconfigurationException, match="monitor"):
        fit(scheduled(Line, ReduceLROnPlateau))

    def foreign(self: Any) -> Any:
        other = torch.optim.SGD(self.parameters(), lr=1.0)
        return [torch.optim.SGD(self.parameters(), lr=1.0)], [StepLR(other, 1)]

    with pytest.raises(MisconfigurationException, match="wasn't returned"):
        fit(with_methods(Line, configure_optimizers=foreign))

    class Own:
        def __init__(self, optimizer: Any) -> None:
            self.optimizer, self.epochs = optimizer, 0

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    with pytest.raises(MisconfigurationException, match="lr_scheduler_step"):
        fit(scheduled(Line, Own))
    module = scheduled(Line, Own)
    type(module).lr_scheduler_step = lambda self, scheduler, metric: setattr(scheduler, "epochs", scheduler.epochs + 1)
    done, _ = fit(module, max_epochs=2)
    assert done.lr_scheduler_configs[0].scheduler.epochs == 2


def test_030_manual_optimization_steps_no_scheduler() -> None:
    module = scheduled(interval="step", monitor="x")
    module.automatic_optimization = False
    with pytest.warns(UserWarning, match="manual optimization"):
        done, _ = fit(module)
    assert halvings(done) == 0


@pytest.mark.filterwarnings("ignore:Loading")
def test_031_estimated_stepping_batches() -> None:
    estimates: list[float] = []

    def configure(self: Any) -> Any:
        estimates.append(self.trainer.estimated_stepping_batches)
        return torch.optim.SGD(self.parameters(), lr=0.1)

    for options in ({"max_epochs": 3, "accumulate_grad_batches": 4}, {"max_epochs": 3, "max_steps": 7}):
        fit(with_methods(Line, configure_optimizers=configure), **options)
    fit(with_methods(Line, configure_optimizers=configure), Endless(3), max_steps=5)
    assert estimates == [9, 7, 5]
    assert trainer(max_epochs=-1).estimated_stepping_batches == float("inf")
