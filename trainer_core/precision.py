"""Number formats: what is cast, what is scaled, how gradients are clipped and the optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from trainer_core.data.nested import cast_floats
from trainer_core.errors import MisconfigurationException, OptionError
from trainer_core.rank import rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.callbacks.nonfinite import NonFiniteGuard
    from trainer_core.trainer import Trainer

ALIASES: dict[Any, str] = {
    None: "32-true", 32: "32-true", "32": "32-true", 64: "64-true", "64": "64-true", 16: "16-mixed", "16": "16-mixed",
    "bf16": "bf16-mixed",
}  # fmt: skip
MODES = ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")


class Precision:
    """32-bit, nothing cast. `is_plain` tells the step plan that no context and no scaling are needed."""

    precision: Any = "32-true"
    is_plain = True

    def convert_module(self, module: nn.Module) -> nn.Module:
        return module

    def convert_input(self, data: Any) -> Any:
        return data

    def forward_context(self) -> AbstractContextManager[Any]:
        """Around every step of the module."""
        return nullcontext()

    def init_context(self) -> AbstractContextManager[Any]:
        """Around the creation of parameters."""
        return nullcontext()

    def scale(self, loss: Tensor) -> Tensor:
        """The loss that backward starts from."""
        return loss

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], after_closure: Callable[[], None], **kwargs: Any
    ) -> Any:
        """`optimizer.step(closure)`, with `after_closure` (hooks and clipping) between gradients and update."""

        def run() -> Any:
            result = closure()
            after_closure()
            return result

        return optimizer.step(run, **kwargs)

    def guarded_step(
        self,
        guard: NonFiniteGuard,
        optimizer: Optimizer,
        closure: Callable[[], Any],
        after_closure: Callable[[], None],
        **kwargs: Any,
    ) -> Any:
        """The same, with the update left out when the guard does not admit it."""
        result = closure()
        after_closure()
        if guard.admits(optimizer, result):
            optimizer.step(lambda: result, **kwargs)
        return result

    def clip_gradients(self, optimizer: Optimizer, value: float, algorithm: str) -> None:
        """Clip the norm of all gradients together, or each value, in place."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if algorithm == "value":
            torch.nn.utils.clip_grad_value_(parameters, value)
        else:
            torch.nn.utils.clip_grad_norm_(parameters, value)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def teardown(self) -> None: ...


class MixedPrecision(Precision):
    """Autocast to 16 bits; with float16 the loss is scaled so that small gradients survive."""

    is_plain = False

    def __init__(self, precision: str, device: str, scaler: Any = None) -> None:
        if precision == "16-mixed" and scaler is None:
            scaler = torch.amp.GradScaler(device=device)
        if precision == "bf16-mixed" and scaler is not None:
            raise MisconfigurationException("`precision='bf16-mixed'` does not use a scaler, found one.")
        self.precision, self.device, self.scaler = precision, device, scaler
        self._dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16

    def forward_context(self) -> AbstractContextManager[Any]:
        # Without its cache: the gradients of a weight that is used twice are added up in 32 bits, not in 16.
        return torch.autocast(self.device, dtype=self._dtype, cache_enabled=False)

    def scale(self, loss: Tensor) -> Tensor:
        return loss if self.scaler is None else self.scaler.scale(loss)

    def optimizer_step(
        self, optimizer: Optimizer, closure: Callable[[], Any], after_closure: Callable[[], None], **kwargs: Any
    ) -> Any:
        if self.scaler is None:
            return super().optimizer_step(optimizer, closure, after_closure, **kwargs)
        if isinstance(optimizer, LBFGS):
            raise MisconfigurationException("precision: 16-mixed and the LBFGS optimizer are not compatible.")
        result = closure()
        # After a batch that was skipped there may be none; the scaler can neither unscale nor step then.
        has_gradients = any(p.grad is not None for group in optimizer.param_groups for p in group["params"])
        if has_gradients and not _unscales_itself(optimizer):
            self.scaler.unscale_(optimizer)
        after_closure()
        if not has_gradients:
            return result
        stepped = self.scaler.step(optimizer, **kwargs)
        self.scaler.update()
        return stepped

    def guarded_step(
        self,
        guard: NonFiniteGuard,
        optimizer: Optimizer,
        closure: Callable[[], Any],
        after_closure: Callable[[], None],
        **kwargs: Any,
    ) -> Any:
        """With a scaler it is the scaler that leaves out updates of infinite gradients; the guard looks at the loss."""
        if self.scaler is None:
            return super().guarded_step(guard, optimizer, closure, after_closure, **kwargs)
        losses: list[Any] = []

        def seen() -> Any:
            losses.append(closure())
            return losses[-1]

        result = self.optimizer_step(optimizer, seen, after_closure, **kwargs)
        guard.watch(losses[-1])
        return result

    def clip_gradients(self, optimizer: Optimizer, value: float, algorithm: str) -> None:
        if self.scaler is not None and _unscales_itself(optimizer):
            raise RuntimeError(
                f"The optimizer {type(optimizer).__name__} unscales gradients itself (fused), so they cannot be "
                "clipped before the step. Use fused=False or another precision."
            )
        super().clip_gradients(optimizer, value, algorithm)

    def state_dict(self) -> dict[str, Any]:
        return self.scaler.state_dict() if self.scaler is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.scaler is not None:
            self.scaler.load_state_dict(state)


class _TruePrecision(Precision):
    """Parameters and floating inputs in one type; tensors created inside a step are of it, too."""

    is_plain = False
    dtype = torch.float32

    def convert_module(self, module: nn.Module) -> nn.Module:
        return module.to(self.dtype)

    def convert_input(self, data: Any) -> Any:
        return cast_floats(data, self.dtype)

    def forward_context(self) -> AbstractContextManager[Any]:
        return default_dtype(self.dtype)

    def init_context(self) -> AbstractContextManager[Any]:
        return default_dtype(self.dtype)


class HalfPrecision(_TruePrecision):
    """`16-true` and `bf16-true`."""

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.dtype = torch.float16 if precision == "16-true" else torch.bfloat16


class DoublePrecision(_TruePrecision):
    """`64-true`."""

    precision = "64-true"
    dtype = torch.float64


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def resolve_precision(given: Any, device_type: str) -> Precision:
    """The precision object for an argument; OptionError names what is allowed."""
    if isinstance(given, Precision):
        return given
    plain = isinstance(given, str | int | None) and not isinstance(given, bool)
    mode = None if not plain else given if given in MODES else ALIASES.get(given)
    if mode is None:
        allowed = ", ".join(repr(m) for m in (*MODES, "64", "32", "16", "bf16"))
        raise OptionError("precision", given, f"one of {allowed}")
    if mode == "16-mixed" and device_type == "cpu":
        rank_zero_warn("precision='16-mixed' is not supported on the CPU; bf16-mixed is used instead.")
        mode = "bf16-mixed"
    if mode.endswith("-mixed"):
        return MixedPrecision(mode, device_type)
    if mode in ("16-true", "bf16-true"):
        return HalfPrecision(mode)
    return DoublePrecision() if mode == "64-true" else Precision()


def _unscales_itself(optimizer: Any) -> bool:
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def run_after_closure(trainer: Trainer, optimizer: Optimizer) -> None:
    """Between gradients and update: `on_before_optimizer_step`, then (automatic only) gradient clipping."""
    trainer.hooks.call("on_before_optimizer_step", optimizer)
    module = trainer.lightning_module
    if module.automatic_optimization:
        trainer.hooks.call_module(
            "configure_gradient_clipping", optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        )
