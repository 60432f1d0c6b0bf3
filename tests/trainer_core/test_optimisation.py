"""Accumulation, closures, clipping and the forms of configure_optimizers (semantics 12–25)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.trainer_core.small import Line, batches, fit, trainer, weights, with_methods
from trainer_core import MisconfigurationException
from trainer_core.optimizers import LightningOptimizer


def stepping_batches(n_batches: int, every: int, epochs: int = 1) -> list[int]:
    seen: list[int] = []
    module = with_methods(
        Line, on_before_optimizer_step=lambda self, o: seen.append(self.trainer.fit_loop.batch_idx + 1)
    )
    fit(module, batches(n_batches), accumulate_grad_batches=every, max_epochs=epochs)
    return seen


def test_012_accumulation_restarts_each_epoch_and_the_last_batch_flushes() -> None:
    assert stepping_batches(10, 4, epochs=2) == [4, 8, 10] * 2


def losses_seen(every: int, n_batches: int) -> tuple[list[float], list[float]]:
    before: list[float] = []
    after: list[float] = []
    module = with_methods(
        Line,
        training_step=lambda self, batch, i: self.layer(batch[0]).sum() * 0 + 8.0,
        on_before_backward=lambda self, loss: before.append(loss.item()),
        on_train_batch_end=lambda self, outputs, batch, i: after.append(outputs["loss"].item()),
    )
    fit(module, batches(n_batches), accumulate_grad_batches=every)
    return before, after


def test_013_the_loss_is_divided_by_the_accumulation_even_in_a_short_window() -> None:
    assert losses_seen(4, 5)[0] == [2.0] * 5


def test_014_backward_and_batch_end_see_the_normalised_loss() -> None:
    assert losses_seen(2, 2) == ([4.0, 4.0], [4.0, 4.0])


def order_of(every: int, n_batches: int, **methods: Any) -> list[str]:
    order: list[str] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        order.append("forward")
        return Line.training_step(self, batch, batch_idx)

    module = with_methods(
        Line,
        training_step=training_step,
        on_before_zero_grad=lambda self, o: order.append("zero"),
        on_before_backward=lambda self, loss: order.append("backward"),
        on_before_optimizer_step=lambda self, o: order.append("step"),
        **methods,
    )
    fit(module, batches(n_batches), accumulate_grad_batches=every)
    return order


def test_015_gradients_are_zeroed_between_forward_and_backward_of_a_windows_first_batch() -> None:
    assert order_of(2, 3) == "forward zero backward forward backward step forward zero backward step".split()


def test_016_the_closure_trains_so_an_override_without_it_trains_nothing() -> None:
    def optimizer_step(self: Any, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        optimizer.optimizer.step() if batch_idx else None

    assert order_of(1, 2, optimizer_step=optimizer_step) == []


def test_the_general_plan_gives_the_bits_of_the_plain_one() -> None:
    def optimizer_step(self: Any, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        assert type(optimizer).__name__ == "LightningSGD"
        optimizer.step(closure=closure)

    results = []
    for methods in ({}, {"optimizer_step": optimizer_step}):
        torch.manual_seed(3)
        _, module = fit(with_methods(Line, **methods), accumulate_grad_batches=3, gradient_clip_val=0.01, max_epochs=2)
        results.append(weights(module))
    assert torch.equal(*results)


def test_gradients_are_dropped_also_of_parameters_that_join_late() -> None:
    frozen = torch.nn.Parameter(torch.zeros(1))
    seen: list[Any] = []

    def on_before_backward(self: Any, loss: Any) -> None:
        if self.global_step == 1:
            self.trainer.optimizers[0].add_param_group({"params": [frozen]})
            frozen.grad = torch.ones(1)
        elif self.global_step == 2:
            seen.append(frozen.grad)

    fit(with_methods(Line, on_before_backward=on_before_backward), batches(3))
    assert seen == [None]


@pytest.mark.parametrize("on", ["class", "instance"])
def test_an_optimizers_own_zero_grad_is_the_one_that_is_called(on: str) -> None:
    called: list[bool] = []

    class Own(torch.optim.SGD):
        def zero_grad(self, set_to_none: bool = True) -> None:
            called.append(set_to_none)
            super().zero_grad(set_to_none)

    Own.__module__ = "torch.optim.own"

    def configure_optimizers(self: Any) -> Any:
        if on == "class":
            return Own(self.parameters(), lr=0.1)
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        optimizer.zero_grad = lambda set_to_none=True: called.append(set_to_none)  # type: ignore[assignment]
        return optimizer

    fit(with_methods(Line, configure_optimizers=configure_optimizers), batches(3))
    assert called == [True] * 3


def test_017_gradients_are_not_synchronised_on_accumulating_batches() -> None:
    from contextlib import contextmanager

    entered: list[int] = []
    chosen = trainer(accumulate_grad_batches=2)
    chosen.strategy.step_is_direct = False

    @contextmanager
    def block() -> Any:
        entered.append(chosen.fit_loop.batch_idx)
        yield

    chosen.strategy.block_backward_sync = block
    chosen.fit(Line(), batches(5))
    assert entered == [0, 2]


class _Scaler:
    """Stands for a GradScaler and writes down what happens."""

    def __init__(self, order: list[str]) -> None:
        self.order = order

    def scale(self, loss: Any) -> Any:
        self.order.append("scale")
        return loss * 2

    def unscale_(self, optimizer: Any) -> None:
        self.order.append("unscale")
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad /= 2

    def step(self, optimizer: Any) -> None:
        self.order.append("scaler step")
        optimizer.step()

    def update(self) -> None:
        self.order.append("update")

    def state_dict(self) -> dict[str, Any]:
        return {"scale": 2.0}


def test_018_with_a_scaler_hooks_and_clipping_see_unscaled_gradients() -> None:
    from trainer_core.precision import MixedPrecision

    order: list[str] = []
    module = with_methods(
        Line,
        on_before_optimizer_step=lambda self, o: order.append("hook"),
        configure_gradient_clipping=lambda self, *a: order.append("clip"),
    )
    precision = MixedPrecision("16-mixed", "cpu", scaler=_Scaler(order))
    fit(module, batches(1), plugins=precision)
    assert order == ["scale", "unscale", "hook", "clip", "scaler step", "update"]


def test_018_a_fused_optimizer_cannot_be_clipped_before_its_step() -> None:
    from trainer_core.precision import MixedPrecision

    class Fused(torch.optim.SGD):
        _step_supports_amp_scaling = True

    module = with_methods(Line, configure_optimizers=lambda self: Fused(self.parameters(), lr=0.1))
    with pytest.raises(RuntimeError, match="unscales gradients itself"):
        fit(module, batches(1), plugins=MixedPrecision("16-mixed", "cpu", scaler=_Scaler([])), gradient_clip_val=1.0)


def test_018_lbfgs_and_a_scaler_do_not_go_together() -> None:
    from trainer_core.precision import MixedPrecision

    module = with_methods(Line, configure_optimizers=lambda self: torch.optim.LBFGS(self.parameters()))
    with pytest.raises(MisconfigurationException, match="LBFGS"):
        fit(module, batches(1), plugins=MixedPrecision("16-mixed", "cpu", scaler=_Scaler([])))


def test_019_clipping_is_configured_at_every_step_even_without_a_value() -> None:
    seen: list[Any] = []
    module = with_methods(Line, configure_gradient_clipping=lambda self, o, value, algorithm: seen.append(value))
    fit(module, batches(3))
    assert seen == [None] * 3


def test_020_two_different_clip_values_are_refused() -> None:
    def clip(self: Any, optimizer: Any, value: Any, algorithm: Any) -> None:
        self.clip_gradients(optimizer, 2.0, "norm")

    with pytest.raises(MisconfigurationException, match="gradient_clip_val"):
        fit(with_methods(Line, configure_gradient_clipping=clip), gradient_clip_val=1.0)


def manual_module(**methods: Any) -> Any:
    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.layer(batch[0]).square().mean())
        optimizer.step()

    module = with_methods(Line, **{"training_step": training_step, **methods})
    module.automatic_optimization = False
    return module


def test_020_manual_optimization_takes_no_clipping_and_no_accumulation() -> None:
    for option in ({"gradient_clip_val": 1.0}, {"accumulate_grad_batches": 2}):
        with pytest.raises(MisconfigurationException, match=next(iter(option))):
            fit(manual_module(), **option)


def test_021_several_optimizers_need_manual_optimization() -> None:
    two = with_methods(
        Line, configure_optimizers=lambda self: [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]
    )
    with pytest.raises(RuntimeError, match="multiple optimizers"):
        fit(two)
    with pytest.raises(RuntimeError, match="optimizer_idx"):
        fit(with_methods(Line, training_step=lambda self, batch, batch_idx, optimizer_idx: None))


def test_022_optimizers_gives_one_wrapped_object_and_raw_steps_are_not_counted() -> None:
    kinds: list[Any] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        wrapped, raw = self.optimizers(), self.optimizers(use_pl_optimizer=False)
        kinds.append((type(wrapped).__name__, isinstance(wrapped, torch.optim.SGD), type(raw).__name__))
        self.manual_backward(self.layer(batch[0]).square().mean())
        raw.step()

    done, _ = fit(manual_module(training_step=training_step), batches(1))
    assert kinds == [("LightningSGD", True, "SGD")]
    assert done.global_step == 0


def test_022_a_wrapped_optimizer_shares_everything_with_its_own() -> None:
    layer = nn.Linear(2, 1)
    own = torch.optim.Adam(layer.parameters())
    wrapped = LightningOptimizer.wrap(own, None)  # type: ignore[arg-type]
    own.load_state_dict(own.state_dict())
    own.param_groups[0]["lr"] = 7
    assert wrapped.param_groups is own.param_groups
    torch.optim.lr_scheduler.StepLR(own, 1)
    assert wrapped.step.__func__ is LightningOptimizer._step
    torch.optim.lr_scheduler.StepLR(wrapped, 1)


def test_023_toggling_keeps_what_was_frozen_before() -> None:
    class Pair(Line):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.other = nn.Linear(4, 1)
            self.layer.weight.requires_grad = True
            self.other.bias.requires_grad = False

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(m.parameters(), lr=0.1) for m in (self.layer, self.other)]

        def flags(self) -> list[bool]:
            return [p.requires_grad for p in self.parameters()]

        def training_step(self, batch: Any, batch_idx: int) -> None:
            first, second = self.optimizers()
            self.seen.append(self.flags())
            with self.toggled_optimizer(first):
                self.seen.append(self.flags())
            self.toggle_optimizer(second)
            self.seen.append(self.flags())
            self.untoggle_optimizer(second)
            self.seen.append(self.flags())

    _, module = fit(Pair(), batches(1))
    assert module.seen == [[True, True, False], [True, False, False], [False, True, False], [True, True, False]]


def test_024_no_optimizer_trains_nothing_but_counts() -> None:
    with pytest.warns(UserWarning, match="no optimizer"):
        done, _ = fit(with_methods(Line, configure_optimizers=lambda self: None), batches(3))
    assert done.global_step == 3


def test_025_optimizers_are_configured_after_setup_and_only_for_fit() -> None:
    order: list[str] = []
    module = with_methods(
        Line,
        setup=lambda self, stage: order.append(f"setup {stage}"),
        configure_optimizers=lambda self: order.append("optimizers") or torch.optim.SGD(self.parameters(), lr=0.1),
        validation_step=lambda self, batch, batch_idx: None,
    )
    chosen, _ = fit(module, batches(1))
    chosen.validate(module, batches(1), verbose=False)
    assert order == ["setup fit", "optimizers", "setup validate"]


FORMS: dict[str, Any] = {
    "optimizer": lambda o, s: o,
    "list": lambda o, s: [o],
    "two lists": lambda o, s: ([o], [s]),
    "two lists with a dict": lambda o, s: ([o], [{"scheduler": s, "interval": "step"}]),
    "dict": lambda o, s: {"optimizer": o, "lr_scheduler": s},
    "dict with a dict": lambda o, s: {"optimizer": o, "lr_scheduler": {"scheduler": s, "interval": "step"}},
    "tuple of dicts": lambda o, s: ({"optimizer": o, "lr_scheduler": s},),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_configure_optimizers(form: str) -> None:
    def configure(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return FORMS[form](optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1))

    done, _ = fit(with_methods(Line, configure_optimizers=configure), batches(2))
    assert len(done.optimizers) == 1
    assert len(done.lr_scheduler_configs) == ("optimizer" != form != "list")
    rate = done.optimizers[0].param_groups[0]["lr"]
    steps = 0 if not done.lr_scheduler_configs else 2 if done.lr_scheduler_configs[0].interval == "step" else 1
    assert rate == pytest.approx(0.1 * 0.1**steps)


def test_an_unknown_form_is_refused() -> None:
    for wrong in (3, [3], {"optimizers": 1}, ()):
        with pytest.raises(MisconfigurationException, match="configure_optimizers"):
            fit(with_methods(Line, configure_optimizers=lambda self, wrong=wrong: wrong))


def test_lbfgs_runs_its_closure_several_times() -> None:
    calls: list[int] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        calls.append(batch_idx)
        return (self.layer(batch[0]) - 1).square().mean()

    module = with_methods(
        Line,
        training_step=training_step,
        configure_optimizers=lambda self: torch.optim.LBFGS(self.parameters(), max_iter=3),
    )
    done, _ = fit(module, batches(1))
    assert len(calls) > 1
    assert done.global_step == 1
