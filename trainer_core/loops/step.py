"""One training batch: forward, backward, update. A plan is chosen once per epoch, then called for every batch.

`plain_plan` is for the common case, where nobody overrides how gradients are made and applied: it calls the step,
`backward` and `optimizer.step` directly. `general_plan` runs everything through the hooks, in the order
`optimizer_step(closure(training_step, zero_grad, backward), hooks, clipping, update)`. Both give equal bits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import LBFGS, Optimizer

from trainer_core.data.nested import detach
from trainer_core.errors import MisconfigurationException
from trainer_core.rank import OnceEach

if TYPE_CHECKING:
    from trainer_core.loops.fit import FitLoop

#: (batch, batch index) → (loss as it was differentiated or None, other outputs of the step)
Plan = Callable[[Any, int], tuple[Any, dict[str, Any] | None]]
_warn_once = OnceEach()


def make_plan(loop: FitLoop) -> Plan:
    """The plan for the next batches of `loop`."""
    module = loop.trainer.lightning_module
    if not module.automatic_optimization:
        return manual_plan(loop)
    if loop.skip_backward:
        return forward_plan(loop)
    optimizer = loop.trainer.optimizers[0]
    weighs = loop.trainer.accumulate_by != "batches" and loop.trainer.accumulate_grad_batches > 1
    if weighs or loop.memory is not None:
        from trainer_core.loops.pieces import weighted_plan

        return weighted_plan(loop, optimizer)
    if _may_be_plain(loop, optimizer):
        return plain_plan(loop, optimizer)
    return general_plan(loop, optimizer)


def _may_be_plain(loop: FitLoop, optimizer: Optimizer) -> bool:
    trainer = loop.trainer
    hooks, strategy = trainer.hooks, trainer.strategy
    kind = type(optimizer)
    return (
        strategy.step_is_direct
        and strategy.precision_plugin.is_plain
        and trainer.profiler.is_passthrough
        # The closure may run before the step instead of in it only where the step begins with it.
        and (kind.__module__.startswith("torch.optim") and kind is not LBFGS)
        and not optimizer._optimizer_step_pre_hooks
        and not any(hooks.own(n) for n in ("optimizer_step", "optimizer_zero_grad", "backward", "clip_gradients"))
    )


def plain_plan(loop: FitLoop, optimizer: Optimizer) -> Plan:
    """Forward, zero, backward, step, with nothing in between but the hooks that somebody wrote."""
    trainer, progress, steps = loop.trainer, loop.batch_progress.current, loop.steps
    batches, hooks, results = loop.batch_progress, trainer.hooks, loop.results
    call = step_caller(trainer.lightning_module.training_step, "training_step")
    results.enter("training_step")
    table = results.current
    has_zero, has_before, has_after = (
        hooks.any(n) for n in ("on_before_zero_grad", "on_before_backward", "on_after_backward")
    )
    own_clipping = hooks.own("configure_gradient_clipping") is not None
    has_step_hook = hooks.any("on_before_optimizer_step")
    gate = loop.guard.gate(optimizer) if loop.guard is not None else None
    zero_grad = grad_dropper(optimizer)

    def plain(batch: Any, batch_idx: int) -> tuple[Any, dict[str, Any] | None]:
        every = trainer.accumulate_grad_batches
        results.fx, results.current = "training_step", table
        output = call(batch, batch_idx)
        extra = None
        if output.__class__ is Tensor:
            loss = output
        else:
            loss, extra = read_output(output)
        if every != 1 and loss is not None:
            loss = loss / every
        if every == 1 or batch_idx % every == 0:
            if has_zero:
                hooks.call("on_before_zero_grad", optimizer)
            zero_grad()
        if loss is not None:
            if has_before:
                hooks.call("on_before_backward", loss)
            loss.backward()
            if has_after:
                hooks.call("on_after_backward")
        if every == 1 or progress.ready % every == 0 or batches.is_last_batch:
            if has_step_hook:
                hooks.call("on_before_optimizer_step", optimizer)
            if own_clipping or trainer.gradient_clip_val is not None:
                hooks.call_module(
                    "configure_gradient_clipping",
                    optimizer,
                    trainer.gradient_clip_val,
                    trainer.gradient_clip_algorithm,
                )
            if gate is None or gate(loss):
                optimizer.step()
            steps.total += 1
            steps.current += 1
        return loss, extra

    return plain


def grad_dropper(optimizer: Optimizer) -> Callable[[], None]:
    """`optimizer.zero_grad`; where it is torch's own, without what that does for compilers and profilers (4 us)."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad or "zero_grad" in vars(optimizer):
        return optimizer.zero_grad

    def drop() -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    return drop


def general_plan(loop: FitLoop, optimizer: Optimizer) -> Plan:
    """The same through precision, strategy and overridden methods."""
    trainer, steps, results = loop.trainer, loop.steps, loop.results
    hooks, strategy = trainer.hooks, trainer.strategy
    precision = strategy.precision_plugin
    wrapped = strategy.lightning_optimizers[0]
    call = step_caller(trainer.lightning_module.training_step, "training_step", _profiled(loop, strategy.training_step))

    def general(batch: Any, batch_idx: int) -> tuple[Any, dict[str, Any] | None]:
        every = trainer.accumulate_grad_batches
        found: list[Any] = [None, None]

        def closure() -> Any:
            results.enter("training_step")
            with precision.forward_context():
                output = call(batch, batch_idx)
            loss, found[1] = read_output(output)
            if loss is None and strategy.world_size > 1:
                raise RuntimeError(
                    "Skipping the `training_step` by returning None is not supported in distributed training: the "
                    "other processes would wait for this one's gradients."
                )
            found[0] = loss = loss / every if loss is not None and every != 1 else loss
            if batch_idx % every == 0:
                hooks.call("on_before_zero_grad", optimizer)
                hooks.call_module("optimizer_zero_grad", trainer.current_epoch, batch_idx, optimizer)
            if loss is not None:
                strategy.backward(loss, optimizer)
            return loss

        if loop.accumulates:
            with strategy.block_backward_sync():
                closure()
        else:
            hooks.call_module("optimizer_step", trainer.current_epoch, batch_idx, wrapped, closure)
            steps.total += 1
            steps.current += 1
        return found[0], found[1]

    return general


def forward_plan(loop: FitLoop) -> Plan:
    """`training_step` alone, for what it does to buffers; a window of batches counts as a step."""
    strategy, steps, results = loop.trainer.strategy, loop.steps, loop.results
    precision = strategy.precision_plugin
    call = step_caller(loop.trainer.lightning_module.training_step, "training_step", strategy.training_step)

    def forward(batch: Any, batch_idx: int) -> tuple[Any, dict[str, Any] | None]:
        results.enter("training_step")
        with strategy.block_backward_sync(), precision.forward_context():
            loss, extra = read_output(call(batch, batch_idx))
        if not loop.accumulates:
            steps.total += 1
            steps.current += 1
        return loss, extra

    return forward


def manual_plan(loop: FitLoop) -> Plan:
    """`training_step` does everything; every step of a wrapped optimizer counts."""
    trainer, steps, results = loop.trainer, loop.steps, loop.results
    strategy = trainer.strategy
    precision = strategy.precision_plugin
    plain = precision.is_plain
    call = step_caller(trainer.lightning_module.training_step, "training_step", _profiled(loop, strategy.training_step))

    def count() -> None:
        steps.total += 1
        steps.current += 1

    for optimizer in strategy.lightning_optimizers:
        optimizer._on_after_step = count

    def manual(batch: Any, batch_idx: int) -> tuple[Any, dict[str, Any] | None]:
        results.enter("training_step")
        if plain:
            output = call(batch, batch_idx)
        else:
            with precision.forward_context():
                output = call(batch, batch_idx)
        if output is None:
            return None, None
        if isinstance(output, Tensor):
            return output, None
        if isinstance(output, dict):
            return None, detach(output)
        raise MisconfigurationException(
            "In manual optimization, `training_step` must either return a Tensor or have no return, or a dict; "
            f"got {type(output).__name__}."
        )

    return manual


def read_output(output: Any) -> tuple[Any, dict[str, Any] | None]:
    """(loss, other outputs) of an automatic `training_step`; MisconfigurationException for what is neither."""
    if output is None:
        _warn_once.warn("`training_step` returned `None`. If this was on purpose, ignore this warning...")
        return None, None
    if isinstance(output, Tensor):
        return output, None
    if isinstance(output, dict):
        loss = output.get("loss")
        if loss is None or not isinstance(loss, Tensor):
            raise MisconfigurationException(
                "In automatic_optimization, when `training_step` returns a dict, the 'loss' key needs to be present "
                f"and hold a tensor; got the keys {list(output)}."
            )
        return loss, detach({k: v for k, v in output.items() if k != "loss"})
    raise MisconfigurationException(
        "In automatic optimization, `training_step` must return a Tensor, a dict, or None (where the step will be "
        f"skipped); got {type(output).__name__}."
    )


def outputs_of(loss: Any, extra: dict[str, Any] | None) -> dict[str, Any]:
    """What `on_train_batch_end` gets."""
    if loss is None:
        return extra or {}
    if extra is None:
        return {"loss": loss.detach()}
    return {"loss": loss.detach(), **extra}


def step_caller(step: Callable[..., Any], name: str, target: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """`target` (or `step`) called with (batch, batch index), or with the batch alone where the step takes no more."""
    chosen = target or step
    parameters = inspect.signature(step).parameters
    if "optimizer_idx" in parameters:
        raise RuntimeError(
            f"`{name}` takes `optimizer_idx`, which automatic optimization no longer offers: set "
            "`self.automatic_optimization = False` and use `self.optimizers()`."
        )
    if takes(step, "batch_idx", at=2):
        return chosen
    return lambda batch, batch_idx: chosen(batch)


def takes(function: Callable[..., Any], name: str, *, at: int) -> bool:
    """Whether `function` takes the argument `name`, or at least `at` positional ones."""
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return (
        any(p.name == name for p in parameters)
        or any(p.kind is p.VAR_POSITIONAL for p in parameters)
        or len(positional) >= at
    )


def _profiled(loop: FitLoop, function: Callable[..., Any]) -> Callable[..., Any]:
    profiler = loop.trainer.profiler
    if profiler.is_passthrough:
        return function
    label = f"[Strategy]{type(loop.trainer.strategy).__name__}.training_step"

    def run(*args: Any) -> Any:
        with profiler.profile(label):
            return function(*args)

    return run
