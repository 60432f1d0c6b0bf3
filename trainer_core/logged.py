"""One logged key of one hook: its last value, and the reduction of its epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.results import Results

REDUCTIONS = ("mean", "sum", "min", "max")
#: Fold pending values into the running reduction when there are so many, so that memory stays bounded.
FOLD_AT = 1024


class Record:
    """One logged key of one hook: the last value and what the epoch's reduction needs.

    `given` is the tuple of arguments of the first `log`; later calls with equal ones only `add`.
    """

    __slots__ = (
        "count", "dataloader_idx", "epoch", "fx", "given", "given_size", "graph", "group", "last", "logger", "metric",
        "metric_path", "name", "on_epoch", "on_step", "pending", "prog_bar", "reduce", "results", "sizes", "suffix", "sync", "total",
    )  # fmt: skip

    def __init__(self, results: Results, fx: str, name: str, given: tuple[Any, ...], on_step: bool, on_epoch: bool):
        self.results, self.fx, self.name, self.given = results, fx, name, given
        self.prog_bar, logger, _, _, reduce_fx, self.graph, self.sync, self.group, suffix, _, _ = given
        self.logger = True if logger is None else logger
        self.on_step, self.on_epoch = on_step, on_epoch
        self.reduce = _reduction(name, reduce_fx)
        self.dataloader_idx = results.dataloader_idx
        self.suffix = f"/dataloader_idx_{self.dataloader_idx}" if suffix and self.dataloader_idx is not None else ""
        self.metric: Any = None
        #: Where it is in the module; None for one that is elsewhere.
        self.metric_path: str | None = None
        self.pending: list[Any] = []
        self.sizes: list[int] = []
        self.reset()

    def reset(self) -> None:
        """Forget the epoch's values; the key stays known."""
        self.last: Any = None
        self.total: Any = None
        self.epoch: Any = None
        self.count = 0
        self.pending.clear()
        self.sizes.clear()
        if self.metric is not None:
            self.metric.reset()

    def add(self, value: Any, batch_size: int | None) -> None:
        """Keep `value`: a copy cut from the graph, still on its device, so that nothing waits for it."""
        if value.__class__ is Tensor:
            value = value.clone() if self.graph else value.detach().clone()
            if value.ndim:
                value = _scalar(self.name, value)
        elif self.metric is not None:
            self.last = value
            return
        else:
            value = _scalar(self.name, value)
        self.last = value
        if self.sync and self.on_step and self.results.reduce is not None:
            self._share_last(self.results.reduce)
        if self.on_epoch:
            self.epoch = None
            self.pending.append(value)
            if self.reduce == "mean":
                if batch_size is None:
                    batch_size = self.results.batch_size
                    if batch_size is None:
                        batch_size = self.results.find_batch_size(self)
                self.sizes.append(batch_size)
            if len(self.pending) >= FOLD_AT:
                self._fold()

    def _share_last(self, reduce: Callable[..., Any]) -> None:
        """All processes log at the same moment; they may read at different ones, and must not wait for each other then."""
        value = _at_least_float(_as_tensor(self.last))
        self.last = reduce(value.clone(), group=self.group, reduce_op=self.reduce)

    def _fold(self) -> None:
        """Fold the pending values into the running reduction, in the order in which they came."""
        if not self.pending:
            return
        values = _stack(self.pending)
        if self.reduce == "mean":
            values = values * torch.tensor(self.sizes, dtype=values.dtype, device=values.device)
            self.count += sum(self.sizes)
        self.pending, self.sizes = [], []
        if self.total is not None:
            self.total = self.total.to(values.device)
        if self.reduce in ("mean", "sum"):
            self.total = _running_sum(self.total, values)
        else:
            pick = torch.amin if self.reduce == "min" else torch.amax
            # A NaN stays a NaN in both.
            folded = pick(values)
            self.total = folded if self.total is None else pick(torch.stack([self.total, folded]))

    def epoch_value(self, reduce: Callable[..., Any] | None = None) -> Tensor | None:
        """The reduced value of the epoch so far, on its device; None when nothing was logged.

        All processes are to ask for it after the last `add`; from then on it is known to each.
        """
        if self.metric is not None:
            return None if self.last is None else _as_tensor(self.metric.compute())
        if self.epoch is not None:
            return self.epoch  # type: ignore[no-any-return]
        self._fold()
        if self.total is None:
            return None
        total, count = self.total, torch.tensor(self.count, device=self.total.device)
        if self.sync and reduce is not None:
            op = "sum" if self.reduce == "mean" else self.reduce
            total = reduce(total.clone(), group=self.group, reduce_op=op)
            if self.reduce == "mean":
                count = reduce(count, group=self.group, reduce_op="sum")
        self.epoch = total / count if self.reduce == "mean" else total
        return self.epoch  # type: ignore[no-any-return]

    def step_value(self) -> Tensor | None:
        """The value of the last batch; None when nothing was logged in this epoch."""
        if self.last is None:
            return None
        if self.metric is not None:
            value = getattr(self.metric, "_forward_cache", None)
            return None if value is None else _as_tensor(value).detach()
        return _at_least_float(_as_tensor(self.last))

    def names(self, on_step: bool) -> tuple[str, str]:
        """(plain name, name as it is written)."""
        both = self.on_step and self.on_epoch
        fork = ("_step" if on_step else "_epoch") if both else ""
        return self.name + self.suffix, self.name + fork + self.suffix


def _reduction(name: str, given: Any) -> str:
    text = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    text = {"avg": "mean"}.get(text.lower(), text.lower())
    if text not in REDUCTIONS:
        raise MisconfigurationException(
            f"Only `self.log(..., reduce_fx={{mean,sum,min,max}})` are supported. If you need a custom reduction, "
            f"please log a `torchmetrics.Metric` instance instead. Found for {name!r}: {given}"
        )
    return text


def _scalar(name: str, value: Any) -> Any:
    """A number or a 0-d tensor; ValueError for anything else."""
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(
                f"`self.log({name}, {value})` was called, but the tensor must have a single element. You can try doing "
                f"`self.log({name}, {value}.mean())`"
            )
        return value.detach().clone().reshape(())
    raise ValueError(f"`self.log({name}, {value})` was called, but `{type(value).__name__}` values cannot be logged")


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float32)


def _at_least_float(values: Tensor) -> Tensor:
    if values.dtype in (torch.float16, torch.bfloat16) or not values.is_floating_point():
        return values.float()
    return values


def _stack(pending: list[Any]) -> Tensor:
    """Numbers and 0-d tensors as one 1-d tensor of at least float32."""
    if not any(isinstance(v, Tensor) for v in pending):
        return torch.tensor(pending, dtype=torch.float32)
    device = next(v.device for v in pending if isinstance(v, Tensor))
    tensors = [v if isinstance(v, Tensor) and v.device == device else _as_tensor(v).to(device) for v in pending]
    kinds = {t.dtype for t in tensors}
    if len(kinds) > 1:
        tensors = [_at_least_float(t) for t in tensors]
    return _at_least_float(torch.stack(tensors))


def _running_sum(total: Tensor | None, values: Tensor) -> Tensor:
    """`total` plus each value in turn, rounded after each as a running sum is."""
    if values.device.type != "cpu" or values.requires_grad:
        summed = values.sum()
        return summed if total is None else total + summed
    array = values.numpy()
    if total is not None:
        array = np.concatenate([np.asarray([total.item()], dtype=array.dtype), array])
    return torch.from_numpy(np.add.accumulate(array)[-1:].copy()).reshape(())
