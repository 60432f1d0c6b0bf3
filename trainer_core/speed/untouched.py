"""A stretch of training that leaves no trace: weights, optimizers, random streams, counters and logs are put back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainer_core.data.nested import map_tensors
from trainer_core.loggers.base import DummyLogger
from trainer_core.loops.hooks import HookTable
from trainer_core.loops.progress import StepCount
from trainer_core.results import Results
from trainer_core.seed import isolate_rng

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

_OWN_ATTRIBUTES = ("_parameters", "_buffers", "_modules", "_trainer", "_results")


class Weights:
    """Parameters, buffers, gradients and optimizer states at one moment, to go back to as often as wanted.

    `keep_on` is the device of the copies, where that of the weights would be too full.
    """

    def __init__(self, trainer: Trainer, keep_on: str | None = None) -> None:
        module = trainer.lightning_module

        def kept(tensor: Tensor) -> Tensor:
            return tensor.detach().to(keep_on or tensor.device, copy=True)

        self._tensors = [(t, kept(t)) for t in (*module.parameters(), *module.buffers(), *_loose_tensors(module))]
        self._gradients = [(p, None if p.grad is None else kept(p.grad)) for p in module.parameters()]
        copied: Any = copy.deepcopy if keep_on is None else lambda state: copy.deepcopy(map_tensors(state, kept))
        self._optimizers = [(o, copied(o.state_dict())) for o in trainer.optimizers]

    def restore(self) -> None:
        with torch.no_grad():
            for tensor, value in self._tensors:
                tensor.copy_(value)
        for parameter, gradient in self._gradients:
            parameter.grad = None if gradient is None else gradient.to(parameter.device, copy=True)
        for optimizer, state in self._optimizers:
            optimizer.state.clear()
            flags = [{k: g.get(k) for k in ("fused", "foreach")} for g in optimizer.param_groups]
            optimizer.load_state_dict(copy.deepcopy(state))
            for group, flag in zip(optimizer.param_groups, flags, strict=True):
                group.update({k: v for k, v in flag.items() if k in group})


@contextmanager
def untouched(trainer: Trainer, keep_on: str | None = None) -> Iterator[Weights]:
    """Inside, training steps may run; callbacks and loggers hear nothing, and afterwards all is as it was.

    What a step writes elsewhere, such as a file of its own, is beyond reach.
    """
    module, loop = trainer.lightning_module, trainer.fit_loop
    kept = (trainer.callbacks, trainer.loggers, trainer.hooks, trainer.accumulate_grad_batches, loop.results)
    steps = loop.steps
    attributes = [(m, _plain_attributes(m)) for m in module.modules()]
    weights = Weights(trainer, keep_on)
    trainer.callbacks, trainer.loggers = [], [DummyLogger() for _ in trainer.loggers]
    trainer.accumulate_grad_batches = 1
    loop.steps, loop.results = StepCount(steps.total, steps.current), Results(training=True)
    trainer.use_results(loop.results)
    trainer.hooks = HookTable(trainer)
    try:
        with isolate_rng():
            yield weights
    finally:
        weights.restore()
        for owner, values in attributes:
            _put_back(owner, values)
        trainer.callbacks, trainer.loggers, trainer.hooks, trainer.accumulate_grad_batches, loop.results = kept
        loop.steps = steps
        trainer.use_results(loop.results)


def _loose_tensors(module: nn.Module) -> list[Tensor]:
    """Tensors that are plain attributes, such as the state of a metric."""
    own = {id(t) for t in (*module.parameters(), *module.buffers())}
    values = [v for m in module.modules() for k, v in vars(m).items() if k not in _OWN_ATTRIBUTES]
    return [v for v in values if isinstance(v, Tensor) and id(v) not in own]


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    """Attributes that a step may change; containers by a shallow copy of what they hold."""
    return {
        name: copy.copy(value) if isinstance(value, list | dict | set) else value
        for name, value in vars(module).items()
        if name not in _OWN_ATTRIBUTES
    }


def _put_back(module: nn.Module, values: dict[str, Any]) -> None:
    now = vars(module)
    for name in [n for n in now if n not in values and n not in _OWN_ATTRIBUTES]:
        del now[name]
    for name, value in values.items():
        held = now.get(name)
        if type(held) is list and type(value) is list:
            held[:] = value
        elif isinstance(held, dict | set) and type(held) is type(value):
            held.clear()
            held.update(value)
        elif held is not value:
            now[name] = value
