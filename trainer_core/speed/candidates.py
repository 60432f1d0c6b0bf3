"""The ways to go faster: each says whether it is possible for a run, and can be switched on and off again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

#: Compiling takes seconds to minutes: it is tried for runs that are expected to take longer than this.
COMPILE_FROM_S = 120.0


class Candidate:
    """One way to go faster. `refusal` is asked once; `on` and `off` may alternate as often as wanted."""

    name = ""
    #: Part of the expected time that the run must last for the candidate to be tried, in seconds.
    worth_from_s = 0.0

    def refusal(self, trainer: Trainer) -> str | None:
        """Why this cannot be done for the run, in words; None when it can."""
        raise NotImplementedError

    def on(self, trainer: Trainer) -> None:
        raise NotImplementedError

    def off(self, trainer: Trainer) -> None:
        raise NotImplementedError


class FusedOptimizer(Candidate):
    """One kernel for all parameters instead of several per parameter or per operation."""

    name = "fused optimizer"
    FUSED = (Adam, AdamW, SGD, Adagrad)

    def __init__(self) -> None:
        self._flags: list[tuple[Any, Any]] = []

    def refusal(self, trainer: Trainer) -> str | None:
        optimizers = trainer.optimizers
        for optimizer in optimizers:
            kind = type(optimizer).__name__
            if type(optimizer) not in self.FUSED:
                return f"{kind} has no fused form"
            if any(g.get("differentiable") or g.get("capturable") for g in optimizer.param_groups):
                return f"{kind} is differentiable or capturable"
            parameters = list(_parameters(optimizer))
            if not all(p.is_floating_point() for p in parameters):
                return f"{kind} has parameters that are not real floating-point numbers"
            if any(p.device.type not in ("cpu", "cuda") for p in parameters):
                return f"fused kernels are for CPU and CUDA, not {parameters[0].device.type}"
            if type(optimizer) is Adagrad and any(p.device.type != "cpu" for p in parameters):
                return "Adagrad is fused on the CPU only"
        if all(g.get("fused") for o in optimizers for g in o.param_groups):
            return "it is in use already" if optimizers else "there is no optimizer"
        self._flags = [(g.get("fused"), g.get("foreach")) for o in optimizers for g in o.param_groups]
        return None

    def on(self, trainer: Trainer) -> None:
        for group in _groups(trainer):
            group["fused"], group["foreach"] = True, False
        self._place_steps(trainer)

    def off(self, trainer: Trainer) -> None:
        for group, (fused, foreach) in zip(_groups(trainer), self._flags, strict=True):
            group["fused"], group["foreach"] = fused, foreach

    @staticmethod
    def _place_steps(trainer: Trainer) -> None:
        """Fused kernels want the step counter of a resumed state beside the parameter."""
        for optimizer in trainer.optimizers:
            for parameter, state in optimizer.state.items():
                if isinstance(state.get("step"), torch.Tensor):
                    state["step"] = state["step"].to(device=parameter.device, dtype=torch.float32)


class ChannelsLast(Candidate):
    """Images with the channel as the innermost dimension, as convolution kernels like it."""

    name = "channels_last"

    def refusal(self, trainer: Trainer) -> str | None:
        convolutions = [m for m in trainer.lightning_module.modules() if isinstance(m, nn.Conv2d)]
        if not convolutions:
            return "the model has no 2-d convolution"
        if all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions):
            return "it is in use already"
        return None

    def on(self, trainer: Trainer) -> None:
        self._lay_out(trainer, torch.channels_last)

    def off(self, trainer: Trainer) -> None:
        self._lay_out(trainer, torch.contiguous_format)

    @staticmethod
    def _lay_out(trainer: Trainer, layout: torch.memory_format) -> None:
        for module in trainer.lightning_module.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=layout)


class TensorFloat32(Candidate):
    """Matrix products of float32 with 10 bits of mantissa on the tensor cores of CUDA devices since Ampere."""

    name = "TF32"

    def __init__(self) -> None:
        self._before = ("highest", False)

    def refusal(self, trainer: Trainer) -> str | None:
        device = trainer.strategy.root_device
        if device.type != "cuda":
            return "it needs a CUDA device"
        if torch.cuda.get_device_capability(device) < (8, 0):
            return "it needs compute capability 8.0"
        self._before = (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
        return "it is in use already" if self._before == ("high", True) else None

    def on(self, trainer: Trainer) -> None:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True

    def off(self, trainer: Trainer) -> None:
        torch.set_float32_matmul_precision(self._before[0])
        torch.backends.cudnn.allow_tf32 = self._before[1]


class CompiledBlocks(Candidate):
    """`torch.compile` of the blocks that a model repeats (or of its direct children): one compilation serves all."""

    name = "compile"
    worth_from_s = COMPILE_FROM_S

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode
        if mode == "reduce-overhead":
            self.name = "compile with CUDA graphs"

    def refusal(self, trainer: Trainer) -> str | None:
        device = trainer.strategy.root_device
        if self.mode == "reduce-overhead" and device.type != "cuda":
            return "it needs a CUDA device"
        if device.type == "cpu" and not any(shutil.which(c) for c in ("g++", "clang++", "c++")):
            return "no C++ compiler is installed"
        blocks = list(repeated_blocks(trainer.lightning_module))
        if not blocks:
            return "the model has no block to compile"
        if any(b._compiled_call_impl is not None for b in blocks):
            return "it is in use already"
        return None

    def on(self, trainer: Trainer) -> None:
        for block in repeated_blocks(trainer.lightning_module):
            block.compile(mode=self.mode)

    def off(self, trainer: Trainer) -> None:
        for block in repeated_blocks(trainer.lightning_module):
            block._compiled_call_impl = None


def candidates() -> list[Candidate]:
    """All of them, cheap ones first."""
    return [FusedOptimizer(), ChannelsLast(), TensorFloat32(), CompiledBlocks(), CompiledBlocks("reduce-overhead")]


def repeated_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Members of lists whose members are all of one class with children; else the children that have parameters."""
    found = [
        child
        for parent in module.modules()
        if isinstance(parent, nn.ModuleList | nn.Sequential) and _is_repetition(parent)
        for child in parent
    ]
    yield from found or [c for c in module.children() if any(True for _ in c.parameters())]


def _is_repetition(parent: Any) -> bool:
    members: list[nn.Module] = list(parent)
    first = members[0] if members else None
    return len(members) > 1 and all(type(m) is type(first) and any(m.children()) for m in members)


def _groups(trainer: Trainer) -> Iterator[dict[str, Any]]:
    for optimizer in trainer.optimizers:
        yield from optimizer.param_groups


def _parameters(optimizer: Optimizer) -> Iterator[torch.Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]
