"""Probe: watches the beginning of a run: what goes in and comes out, and how long and how much its parts take."""

from __future__ import annotations

import resource
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.callback import Callback
from trainer_core.evaluation.worst import preview
from trainer_core.events import METRICS, read_spool
from trainer_core.recipes import FineTune

if TYPE_CHECKING:
    from trainer_core.launch import Attempt

MOST_EXAMPLES, MOST_TENSORS, MOST_LAYERS = 8, 12, 12


class Enough(Exception):
    """The probe has seen what it wanted; the run is cut here."""


class Probe(Callback):
    """Ends the run with `Enough` after BUDGET_S of training. The first steps do not count: they warm up."""

    BUDGET_S, LEAST_STEPS, SANITY = 4.0, 4, 3

    def __init__(self, attempt: Attempt, began: float) -> None:
        self._attempt, self._began = attempt, began
        self.whole_run = False
        self._ready_s = 0.0
        self._begins_at = 0, 0
        self._trained_from = 0.0
        self._ends: list[float] = []
        self._pauses: list[float] = []  # of validation, since the last batch
        self._epochs: list[tuple[float, float]] = []  # begin, validation so far
        self._validated: list[float] = []  # durations of whole validations
        self._validation_began = self._validation_s = 0.0
        self._val_ends: list[float] = []
        self._val_batch_s: list[float] = []
        self._batch: list[dict[str, Any]] = []
        self._layers: list[dict[str, Any]] = []
        self._hooks: list[Any] = []
        self._loss: float | None = None
        self._metrics: set[str] = set()
        self._saved_bytes = 0

    # What it sees.

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._validation_began = perf_counter()
        self._val_ends = []

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self._synchronize(trainer)
        now = perf_counter()
        if self._val_ends:
            self._val_batch_s.append(now - self._val_ends[-1])
        self._val_ends.append(now)
        if not trainer.sanity_checking and self._over(now):
            self._end(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._metrics |= set(trainer.callback_metrics)
        if not trainer.sanity_checking:
            took = perf_counter() - self._validation_began
            self._validated.append(took)
            self._validation_s += took

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._watch_layers(pl_module)
        self._begins_at = trainer.current_epoch, trainer.global_step
        self._trained_from = perf_counter()
        self._ready_s = self._trained_from - self._began

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._epochs.append((perf_counter(), self._validation_s))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if not self._batch:
            self._batch = described(batch)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._loss is None:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            self._loss = None if loss is None else float(loss)
        if self._trained_from and len(self._ends) < self.LEAST_STEPS:
            self._synchronize(trainer)
        now = perf_counter()
        self._ends.append(now)
        self._pauses.append(self._validation_s)
        if self._over(now) and len(self._ends) >= self.LEAST_STEPS:
            self._synchronize(trainer)
            self._ends[-1] = perf_counter()
            self._end(trainer)

    def _over(self, now: float) -> bool:
        return now - self._trained_from > self.BUDGET_S

    def _synchronize(self, trainer: Any) -> None:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize(trainer.strategy.root_device)

    def _end(self, trainer: Any) -> None:
        keeper = self._attempt.keeper
        if not keeper.newest_written and trainer.global_step:
            keeper.save(trainer, "check")
            keeper.finish()
        raise Enough

    def _watch_layers(self, module: Any) -> None:
        """Note the shapes that go into and come out of the module's forward and its children, once."""
        if self._layers or self._hooks:
            return
        root = module
        while len(children := [c for c in root.children() if next(c.parameters(), None) is not None]) == 1:
            root = children[0]
        named = {id(m): name for name, m in module.named_modules()}
        for part in [module, *children][:MOST_LAYERS]:
            name = named.get(id(part)) or type(part).__name__

            def note(layer: Any, given: Any, out: Any, name: str = name) -> None:
                if all(row["name"] != name for row in self._layers):
                    row = {"name": name, "kind": type(layer).__name__, "in": _shapes(given), "out": _shapes(out)}
                    self._layers.append(row)

            self._hooks.append(part.register_forward_hook(note))

    # What it tells.

    def report(self) -> dict[str, Any]:
        """Shapes, loss, metrics, seconds (`_s`) and bytes (`_bytes`) of the parts, and counts of batches; JSON-ready."""
        trainer = self._attempt.trainer
        folder = self._attempt.checkpoints
        saved = sorted(p for p in folder.glob("step-*") if p.is_dir()) if folder.is_dir() else []
        if saved:
            self._saved_bytes = sum(f.stat().st_size for f in saved[-1].iterdir())
        schedule = trainer.fit_loop.schedule
        batches, device = trainer.num_training_batches, trainer.strategy.root_device
        val_batches = sum(n for n in trainer.num_val_batches if n < 1e18)
        params = [p for p in self._attempt.model.parameters() if not torch.nn.parameter.is_lazy(p)]
        return {
            "device": str(device),
            "batch": self._batch,
            "layers": self._layers,
            "loss": self._loss,
            "parameters": sum(p.numel() for p in params),
            "metrics": sorted(self._metrics | set(trainer.callback_metrics) | self._written()),
            "batches": int(batches) if batches < 1e18 else None,
            "val_batches": int(val_batches),
            "every_batches": int(schedule.every_batches) if schedule.every_batches < 1e18 else None,
            "begins_at_epoch": self._begins_at[0],
            "begins_at_step": self._begins_at[1],
            "steps": len(self._ends),
            "ready_s": self._ready_s,
            "step_s": self._step_s(),
            "epoch_s": self._epoch_s(),
            "validation_s": self._one_validation_s(val_batches),
            "save_s": trainer.breakdown.get("save", 0.0) / max(1, len(saved)),
            "trained_s": (self._ends[-1] - self._trained_from) if self._ends else 0.0,
            "whole_run": self.whole_run,
            "checkpoint_bytes": self._saved_bytes,
            "memory_bytes": memory_bytes(),
            "gpu_bytes": torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None,
            "start": self._start_words(),
        }

    def _step_s(self) -> float | None:
        """Mean seconds from batch to batch, without validation and the first third, which warms up."""
        skip = max(1, len(self._ends) // 3)
        if len(self._ends) <= skip:
            return self._ends[0] - self._trained_from if self._ends else None
        paused = self._pauses[-1] - self._pauses[skip - 1]
        return (self._ends[-1] - self._ends[skip - 1] - paused) / (len(self._ends) - skip)

    def _epoch_s(self) -> float | None:
        """Mean seconds from the start of an epoch to that of the next, without validation; None for none."""
        cycles = [
            (after - before) - (paused - earlier)
            for (before, earlier), (after, paused) in zip(self._epochs, self._epochs[1:], strict=False)
        ]
        return statistics.fmean(cycles[1:] or cycles) if cycles else None

    def _one_validation_s(self, batches: float) -> float:
        if self._validated:
            return statistics.fmean(self._validated[1:] or self._validated)
        return statistics.median(self._val_batch_s) * batches if self._val_batch_s else 0.0

    def _written(self) -> set[str]:
        spool = Path(self._attempt.run_dir) / "spool"
        return {name for frame in read_spool(spool) if frame.type == METRICS for name in frame.metrics().names}

    def _start_words(self) -> str:
        for callback in self._attempt.trainer.callbacks:
            if isinstance(callback, FineTune) and callback.fit is not None:
                return callback.fit.in_words()
        return ""


def memory_bytes() -> int:
    """The most that this process and those that it has started have had in memory at once, about."""
    unit = 1 if sys.platform == "darwin" else 1024
    total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    try:
        import psutil
    except ImportError:
        return total
    for child in psutil.Process().children(recursive=True):
        try:
            kept = child.memory_info()
        except psutil.Error:
            continue
        total += kept.rss - getattr(kept, "shared", 0)
    return total


def described(batch: Any) -> list[dict[str, Any]]:
    """Every tensor of a batch as the model sees it: where it stands, shape, type, range, and its first examples."""
    found = []
    leaves, _ = torch.utils._pytree.tree_flatten_with_path(batch)
    for path, leaf in leaves[:MOST_TENSORS]:
        name = "".join(str(key) for key in path) or "batch"
        if not isinstance(leaf, torch.Tensor):
            found.append({"name": name, "type": type(leaf).__name__, "shape": [], "text": str(leaf)[:200]})
            continue
        told: dict[str, Any] = {"name": name, "type": str(leaf.dtype).removeprefix("torch."), "shape": list(leaf.shape)}
        if leaf.numel() and not leaf.is_complex():
            numbers = leaf.detach().float()
            finite = numbers[torch.isfinite(numbers)]
            told["nonfinite"] = numbers.numel() - finite.numel()
            if finite.numel():
                told |= {"least": float(finite.min()), "greatest": float(finite.max()), "mean": float(finite.mean())}
            if leaf.ndim:
                told["examples"] = [preview(one) for one in leaf[:MOST_EXAMPLES]]
        found.append(told)
    return found


def _shapes(given: Any) -> list[list[int]]:
    leaves = torch.utils._pytree.tree_leaves(given)
    return [list(leaf.shape) for leaf in leaves if isinstance(leaf, torch.Tensor)][:MOST_TENSORS]
