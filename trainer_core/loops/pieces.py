"""Batches in parts, and gradients weighted by what each part holds: the plan for fit-to-memory and `accumulate_by`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import LBFGS, Optimizer

from trainer_core.data.nested import map_leaves
from trainer_core.errors import MisconfigurationException
from trainer_core.loops.step import Plan, read_output, step_caller
from trainer_core.results import FOLD_AT, Record, Results, measure_batch

if TYPE_CHECKING:
    from trainer_core.loops.fit import FitLoop
    from trainer_core.trainer import Trainer

#: Labels that losses leave out, as torch's own do.
IGNORED = -100
LABELS = ("labels", "label", "targets", "target", "y")


def weighted_plan(loop: FitLoop, optimizer: Optimizer) -> Plan:
    """Like the general plan; a batch may be cut into parts, and gradients may be weighted by samples or tokens."""
    if isinstance(optimizer, LBFGS):
        raise MisconfigurationException(
            f"fit_to_memory and accumulate_by={loop.trainer.accumulate_by!r} are not supported with LBFGS, which computes "
            "gradients several times within a step."
        )
    trainer, steps, wrapped = loop.trainer, loop.steps, loop.trainer.strategy.lightning_optimizers[0]
    training = _Training(loop, optimizer)

    def weighted(batch: Any, batch_idx: int) -> tuple[Any, dict[str, Any] | None]:
        def closure() -> Any:
            loss = training.take(batch, batch_idx)
            if not loop.accumulates:
                training.settle_weights()
            return loss

        if loop.accumulates:
            with trainer.strategy.block_backward_sync():
                closure()
        else:
            trainer.hooks.call_module("optimizer_step", trainer.current_epoch, batch_idx, wrapped, closure)
            steps.total += 1
            steps.current += 1
        return training.loss, training.extra

    return weighted


class _Training:
    """Forward and backward of the batches of an accumulation window."""

    def __init__(self, loop: FitLoop, optimizer: Optimizer) -> None:
        self.loop, self.trainer, self.optimizer, self.memory = loop, loop.trainer, optimizer, loop.memory
        self.call = step_caller(
            loop.trainer.lightning_module.training_step, "training_step", loop.trainer.strategy.training_step
        )
        self.by_weight = loop.trainer.accumulate_by != "batches"
        #: What a window has trained on, with the numbers of its batches in the run; kept for replays only.
        self.window: list[tuple[Any, int, int]] = []
        self.loss: Any = None
        self.extra: dict[str, Any] | None = None

    def take(self, batch: Any, batch_idx: int) -> Any:
        """Add the gradients of `batch`; when memory runs out, cut it smaller and begin the window again."""
        first = batch_idx % self.trainer.accumulate_grad_batches == 0
        if first:
            self.window.clear()
            self.loop.window_weight = None
        if self.memory is None:
            self._run(batch, batch_idx, zero=first)
            return self.loss
        number = self.loop.batch_progress.total.ready
        logged = _Logged(self.loop.results)
        while not self._fits(batch, batch_idx, first):
            self.memory.halve(self.trainer, batch)
            logged.undo()
            self.optimizer.zero_grad()
            self.loop.window_weight = None
            for earlier, index, its_number in self.window:
                self._seed(its_number)
                self._run(earlier, index, zero=False)
                logged.undo()
            self._seed(number)
        if not self.loop.accumulates:
            self.window.clear()
        else:
            self.window.append((batch, batch_idx, number))
        return self.loss

    def _fits(self, batch: Any, batch_idx: int, first: bool) -> bool:
        """The failed attempt's tensors are let go with its frames, so that memory is free when this returns False."""
        try:
            self._run(batch, batch_idx, zero=first)
        except torch.OutOfMemoryError:
            assert self.memory is not None
            may_begin_again = len(self.window) == batch_idx % self.trainer.accumulate_grad_batches
            if not may_begin_again or not self.memory.may_halve(batch):
                raise
            self.loss = self.extra = None
            return False
        return True

    def _seed(self, number: int) -> None:
        """The random numbers that this batch had, where they follow from its number."""
        trainer = self.trainer
        seed = trainer.randomness.step_seeder(trainer.global_rank, trainer.strategy.root_device)
        if seed is not None:
            seed(number)

    def _run(self, batch: Any, batch_idx: int, *, zero: bool) -> None:
        """Forward and backward of all parts of `batch`."""
        trainer, loop = self.trainer, self.loop
        parts = self.memory.parts(batch) if self.memory is not None else [batch]
        logged = _Logged(loop.results) if len(parts) > 1 else None
        weights = [self._weight(part) for part in parts] if self.by_weight or len(parts) > 1 else [1]
        whole = sum(weights)
        losses: list[Any] = []
        self.loss = self.extra = None
        for part, weight in zip(parts, weights, strict=True):
            loop.results.enter("training_step")
            loop.results.batch, loop.results.batch_size = part, None
            with trainer.strategy.precision_plugin.forward_context():
                output = self.call(part, batch_idx)
            loss, self.extra = read_output(output)
            if logged is not None:
                logged.note(weight)
            if zero:
                trainer.hooks.call("on_before_zero_grad", self.optimizer)
                trainer.hooks.call_module("optimizer_zero_grad", trainer.current_epoch, batch_idx, self.optimizer)
                zero = False
            if loss is None:
                continue
            losses.append(loss.detach() * (weight / whole))
            trainer.strategy.backward(loss * self._scale(weight, whole), self.optimizer)
        loop.results.batch, loop.results.batch_size = batch, None
        if logged is not None:
            logged.merge()
        if losses:
            self.loss = sum(losses) if self.by_weight else sum(losses) / trainer.accumulate_grad_batches

    def _scale(self, weight: Any, whole: Any) -> Any:
        """What a part's loss is multiplied with before backward."""
        if not self.by_weight:
            return weight / whole / self.trainer.accumulate_grad_batches
        if self.loop.weight_unit is None:
            # Near 1, so that losses in 16 bits neither overflow nor vanish; the same in all processes.
            self.loop.weight_unit = max(float(self.trainer.strategy.broadcast(float(weight))), 1.0)
        known = self.loop.window_weight
        self.loop.window_weight = weight if known is None else known + weight
        return weight / self.loop.weight_unit

    def settle_weights(self) -> None:
        """Divide the gradients by the weight of the window, over all processes."""
        total = self.loop.window_weight
        if not self.by_weight or total is None:
            return
        trainer = self.trainer
        total = torch.as_tensor(total, dtype=torch.float32, device=trainer.strategy.root_device)
        if trainer.world_size > 1:
            total = trainer.strategy.reduce(total, reduce_op="mean")
        gradients = [p.grad for g in self.optimizer.param_groups for p in g["params"] if p.grad is not None]
        with torch.no_grad():
            torch._foreach_mul_(gradients, self.loop.weight_unit / total)
        self.loop.window_weight = None

    def _weight(self, part: Any) -> Any:
        if self.trainer.accumulate_by == "tokens":
            return token_weight(self.trainer, part)
        return measure_batch(part)[0]


def token_weight(trainer: Trainer, batch: Any) -> Any:
    """How many labels of `batch` count: those that are not IGNORED; a module's own `loss_weight(batch)` comes first.

    A number, or a tensor () on the device. MisconfigurationException when no labels are found.
    """
    own: Callable[[Any], Any] | None = getattr(trainer.lightning_module, "loss_weight", None)
    if own is not None:
        return own(batch)
    labels = None
    if isinstance(batch, Mapping):
        labels = next((batch[name] for name in LABELS if name in batch), None)
    elif isinstance(batch, Sequence) and len(batch) > 1:
        labels = batch[1]
    if not isinstance(labels, Tensor):
        raise MisconfigurationException(
            "accumulate_by='tokens': no labels were found in the batch. Give them as the second item, under one of the "
            f"keys {', '.join(LABELS)}, or write `loss_weight(self, batch)` in the module."
        )
    return (labels != IGNORED).sum()


def parts_of(batch: Any, size: int, micro: int) -> Iterator[Any]:
    """`batch` of `size` samples in parts of at most `micro`: tensors along dimension 0, lists of plain items likewise."""

    def is_cut(leaf: Any) -> bool:
        if isinstance(leaf, Tensor):
            return leaf.ndim > 0 and leaf.shape[0] == size
        plain = isinstance(leaf, list | tuple) and len(leaf) == size and not hasattr(leaf, "_fields")
        return plain and all(isinstance(item, str | bytes | int | float) for item in leaf)

    for start in range(0, size, micro):
        yield map_leaves(batch, itemgetter(slice(start, start + micro)), is_cut)


class _Logged:
    """What a batch logs: to be taken back when it is run again, or made one value when it came in parts."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.before: dict[Record, tuple[int, Any]] = {}
        for record in results.records():
            if len(record.pending) > FOLD_AT // 2:
                record._fold()
            self.before[record] = (len(record.pending), record.last)
        self.seen: dict[Record, list[tuple[Any, Any]]] = {}

    def note(self, weight: Any) -> None:
        """A part of this weight was run."""
        for record in self.results.records():
            values = self.seen.setdefault(record, [])
            previous = values[-1][0] if values else self.before.get(record, (0, None))[1]
            if record.last is not previous and record.metric is None:
                values.append((record.last, weight))

    def undo(self) -> None:
        for record in self.results.records():
            length, last = self.before.get(record, (0, None))
            if record.metric is None:
                record.last, record.epoch = last, None
                del record.pending[length:]
                del record.sizes[length:]

    def merge(self) -> None:
        """One value for all parts: their weighted mean, or their sum, least or greatest, as the key is reduced."""
        for record, values in self.seen.items():
            if len(values) < 2:
                continue
            stacked = torch.stack([torch.as_tensor(v) for v, _ in values])
            if record.reduce == "mean":
                weights = torch.stack(
                    [torch.as_tensor(w, dtype=stacked.dtype, device=stacked.device) for _, w in values]
                )
                merged = (stacked * weights).sum() / weights.sum()
            else:
                folds: dict[str, Any] = {"sum": torch.sum, "min": torch.amin, "max": torch.amax}
                merged = folds[record.reduce](stacked)
            record.last, length = merged, self.before.get(record, (0, None))[0]
            if record.on_epoch:
                record.pending[length:] = [merged]
                if record.reduce == "mean":
                    record.sizes[length:] = [sum(record.sizes[length:])]
