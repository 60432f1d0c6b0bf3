"""Recorder: the three metric dictionaries of a trainer, and the moments at which loggers are written."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainer_core.data.nested import map_tensors

if TYPE_CHECKING:
    from trainer_core.results import Results
    from trainer_core.trainer import Trainer


class Recorder:
    """Keeps `callback_metrics`, `logged_metrics` and `progress_bar_metrics`; values stay tensors until written."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.callback_metrics: dict[str, Any] = {}
        self.logged_metrics: dict[str, Any] = {}
        self.bar_metrics: dict[str, Any] = {}
        #: What it costs the training thread to hand values to loggers: how often, and seconds in all.
        self.writes, self.cost_s = 0, 0.0

    def clear(self) -> None:
        self.callback_metrics, self.logged_metrics, self.bar_metrics = {}, {}, {}

    def absorb(self, results: Results | None, *, on_step: bool) -> dict[str, Any]:
        """Take over what `results` hold at this moment; returns the part for loggers."""
        if results is None:
            return {}
        began = perf_counter()
        callback, log, bar = results.collect(on_step=on_step)
        self.callback_metrics.update(callback)
        self.logged_metrics.update(log)
        self.bar_metrics.update(bar)
        self.cost_s += perf_counter() - began
        return log

    def write(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Send `metrics` to every logger. One host copy for all values; loggers that take tensors get them as they are.

        Without `step` the x-axis is the number of batches that stepped (or the metric called `step`), and `epoch` is
        added.
        """
        trainer = self.trainer
        if not trainer.loggers or not metrics:
            return
        began = perf_counter()
        self.logged_metrics.update(metrics)
        tensors = dict(metrics)
        if step is None:
            given = tensors.pop("step", None)
            if given is not None:
                step = int(given)
            else:
                tensors.setdefault("epoch", trainer.current_epoch)
                step = trainer.fit_loop.batches_that_stepped
        numbers: dict[str, Any] | None = None
        for logger in trainer.loggers:
            if logger.takes_tensors:
                logger.log_metrics(tensors, step)
            else:
                numbers = to_numbers(tensors) if numbers is None else numbers
                logger.log_metrics(numbers, step)
            logger.save()
        self.writes += 1
        self.cost_s += perf_counter() - began

    def to_cpu(self) -> None:
        for name in ("callback_metrics", "logged_metrics", "bar_metrics"):
            setattr(self, name, map_tensors(getattr(self, name), lambda t: t.cpu()))


def to_numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Tensors as Python numbers, with one copy from the device for all floating scalars."""
    plain = dict(metrics)
    names = [k for k, v in metrics.items() if isinstance(v, Tensor) and v.numel() == 1]
    on_device = [k for k in names if metrics[k].device.type != "cpu" and metrics[k].is_floating_point()]
    if len(on_device) > 1:
        stacked = torch.stack([metrics[k].detach().reshape(()).double() for k in on_device]).tolist()
        plain.update(zip(on_device, stacked, strict=True))
        names = [k for k in names if k not in on_device]
    for name in names:
        plain[name] = metrics[name].item()
    for name, value in plain.items():
        if isinstance(value, Tensor):
            raise ValueError(f"The metric {name!r} does not contain a single element, thus it cannot be converted.")
    return plain
