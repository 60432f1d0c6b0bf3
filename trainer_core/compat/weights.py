"""Facts about a model's parameters, and about the memory they need."""

from __future__ import annotations

import gc
from collections import defaultdict
from functools import reduce
from typing import Any

import torch
from torch import nn


def grad_norm(module: nn.Module, norm_type: float | int | str, group_separator: str = "/") -> dict[str, float]:
    """`grad_2.0_norm/<parameter>` of every gradient and `grad_2.0_norm_total`. Waits for the device."""
    order = float(norm_type)
    if order <= 0:
        raise ValueError(f"norm_type: got {norm_type!r}, allowed is a number above 0 or 'inf'.")
    gradients = {name: p.grad.detach() for name, p in module.named_parameters() if p.grad is not None}
    prefix = f"grad_{order}_norm"
    norms = {f"{prefix}{group_separator}{name}": g.norm(order).item() for name, g in gradients.items()}
    if norms:
        norms[f"{prefix}_total"] = torch.tensor(list(norms.values())).norm(order).item()
    return norms


def find_shared_parameters(module: nn.Module) -> list[list[str]]:
    """Groups of names that mean the same parameter."""
    names: dict[nn.Parameter, list[str]] = defaultdict(list)
    for prefix, part in module.named_modules(remove_duplicate=False):
        for name, parameter in part._parameters.items():
            if parameter is not None:
                names[parameter].append(f"{prefix}.{name}" if prefix else name)
    return [group for group in names.values() if len(group) > 1]


def set_shared_parameters(module: nn.Module, shared_params: list[list[str]]) -> nn.Module:
    """Make every group of names one parameter again, that of its first name; returns `module`."""
    for first, *others in shared_params:
        parameter = reduce(getattr, first.split("."), module)
        for name in others:
            *path, last = name.split(".")
            setattr(reduce(getattr, path, module), last, parameter)
    return module


def measure_flops(model: nn.Module, forward_fn: Any, loss_fn: Any = None) -> int:
    """Floating-point operations of `forward_fn()`, and of the backward pass of `loss_fn(output)` when it is given."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        output = forward_fn()
        if loss_fn is not None:
            loss_fn(output).backward()
    return int(counter.get_total_flops())


def is_oom_error(exception: BaseException) -> bool:
    """Whether the error says that memory ran out, on whatever device."""
    if isinstance(exception, torch.OutOfMemoryError):
        return True
    text = str(exception)
    causes = ("CUDA out of memory", "CUDNN_STATUS_NOT_SUPPORTED", "DefaultCPUAllocator: can't allocate memory")
    return isinstance(exception, RuntimeError) and any(cause in text for cause in causes)


def garbage_collection_cuda() -> None:
    """Collect garbage and give the caching allocator's free blocks back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def from_compiled(model: Any) -> Any:
    """The module inside of `torch.compile`'s wrapper, ready to be given to a trainer."""
    return getattr(model, "_orig_mod", model)
