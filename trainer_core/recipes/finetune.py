"""Fine-tuning in two phases: the head alone, then all layers, the early ones with smaller learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from trainer_core.callback import Callback
from trainer_core.checkpoint import io
from trainer_core.errors import MisconfigurationException
from trainer_core.optimizers import LRSchedulerConfig
from trainer_core.rank import rank_zero_info
from trainer_core.recipes.schedules import one_cycle_factor

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class FineTune(Callback):
    """Loads what fits of `start_from` (a checkpoint; the layers of other shapes begin anew), then trains in two phases.

    First only the head (the last child that has parameters) and the norms of the body learn, for `head_epochs` epochs, at
    `peak` times the optimizer's rate. Then everything does, over one cycle with that peak, and the rate falls
    geometrically from the head to 1/`spread` of it in the first layers (after Howard & Ruder, 2018, arXiv:1801.06146). The module's optimizer class and
    settings are kept; its own schedule is replaced. `head_epochs=0` only loads the weights and leaves rates alone.
    MisconfigurationException for several optimizers, manual optimisation, an endless run, or nothing to freeze.
    """

    def __init__(
        self, start_from: str | Path | None = None, *, head_epochs: int = 1, spread: float = 3.0, peak: float = 5.0
    ) -> None:
        if head_epochs < 0:
            raise MisconfigurationException(f"head_epochs: got {head_epochs!r}, allowed is a whole number from 0.")
        if spread < 1:
            raise MisconfigurationException(f"spread: got {spread!r}, allowed is a number of at least 1.")
        if not peak > 0:
            raise MisconfigurationException(f"peak: got {peak!r}, allowed is a number above 0.")
        self.start_from, self.head_epochs, self.spread, self.peak = start_from, head_epochs, spread, peak
        #: What of the checkpoint was taken over; None before the start.
        self.fit: Fit | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.start_from is not None and not trainer.ckpt_path:  # a resumed run has its own weights
            self.fit = load_matching(pl_module, self.start_from)
        if self.head_epochs:
            self._regroup(trainer, pl_module)

    def _regroup(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total = trainer.estimated_stepping_batches
        if len(trainer.optimizers) != 1 or not pl_module.automatic_optimization or not math.isfinite(total):
            raise MisconfigurationException(
                "Fine-tuning in phases takes one optimizer, automatic optimisation and a run with an end; this run has "
                f"{len(trainer.optimizers)} optimizers and {total} steps. Set head_epochs=0 to only load the weights."
            )
        parts = layers_of(pl_module)
        steps_per_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        head_steps = min(self.head_epochs * steps_per_epoch, int(total) // 2)
        optimizer = trainer.optimizers[0]
        kept = optimizer.param_groups[:]
        optimizer.param_groups.clear()
        factors = []
        for group in kept:
            settings = {k: group[k] for k in optimizer.defaults if k in group}
            settings |= {k: v for k, v in optimizer.defaults.items() if k in ("lr", "betas", "momentum")}
            for place, part in enumerate(parts):
                for norms in (False, True):
                    mine = [p for m, p in part if id(p) in {id(q) for q in group["params"]} and _is_norm(m) is norms]
                    if mine:
                        optimizer.add_param_group({**settings, "params": mine})
                        factors.append(self._factor(place, len(parts), norms, head_steps, int(total)))
        schedule = LambdaLR(optimizer, factors)
        trainer.strategy.lr_scheduler_configs = [LRSchedulerConfig(schedule, interval="step")]

    def _factor(self, place: int, parts: int, norms: bool, head_steps: int, total: int) -> Any:
        """The rate of a part, as a factor of the optimizer's, by steps done."""
        last = place == parts - 1
        depth = self.spread ** (place / (parts - 1) - 1)

        def factor(step: int) -> float:
            if step < head_steps:
                return self.peak if last or norms else 0.0
            done = (step - head_steps) / max(1, total - head_steps)
            return self.peak * depth * one_cycle_factor(done, start=5.0)

        return factor


def layers_of(module: nn.Module) -> list[list[tuple[nn.Module, nn.Parameter]]]:
    """Parameters with the layer that owns them, by child from the input to the head; wrappers of one child are opened."""
    root = module
    while True:
        children = [c for c in root.children() if next(c.parameters(), None) is not None]
        if len(children) != 1:
            break
        root = children[0]
    if len(children) < 2:
        raise MisconfigurationException(
            f"{type(module).__name__} has no body and head to tell apart: it needs at least two children with parameters."
        )
    return [[(m, p) for m in child.modules() for p in m.parameters(recurse=False)] for child in children]


@dataclass(frozen=True, slots=True)
class Fit:
    """What of a checkpoint's weights a module takes: by name, and for other shapes (here, there)."""

    taken: list[str]
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: list[str]
    unused: list[str]

    def in_words(self) -> str:
        """`6 of 8 weights are taken over. net.3.weight begins anew: (3, 64) here, (10, 64) there.`"""
        count = len(self.taken)
        total = count + len(self.reshaped) + len(self.missing)
        words = [
            f"All {total} weights are taken over." if count == total else f"{count} of {total} weights are taken over."
        ]
        if self.reshaped:
            shapes = [
                f"{name} ({list(here)} here, {list(there)} there)" for name, (here, there) in self.reshaped.items()
            ]
            words.append(f"Of another shape, these begin anew: {_listed(shapes)}.")
        if self.missing:
            words.append(f"Not in the checkpoint, these begin anew: {_listed(self.missing)}.")
        if self.unused:
            words.append(f"Not in this model, these are left out: {_listed(self.unused)}.")
        return " ".join(words)


def compare(own: Mapping[str, Any], given: Mapping[str, Any]) -> Fit:
    """Two states by name and shape."""
    tensors = {k: v for k, v in given.items() if isinstance(v, torch.Tensor)}
    both = [k for k in own if k in tensors]
    return Fit(
        taken=[k for k in both if tensors[k].shape == own[k].shape],
        reshaped={k: (tuple(own[k].shape), tuple(tensors[k].shape)) for k in both if tensors[k].shape != own[k].shape},
        missing=[k for k in own if k not in tensors],
        unused=[k for k in tensors if k not in own],
    )


def load_matching(module: nn.Module, path: str | Path) -> Fit:
    """Copy the checkpoint's weights of equal name and shape into `module`.

    MisconfigurationException when nothing fits. The file is read with `weights_only=True`.
    """
    given = io.read_file(Path(path))
    state = given.get("state_dict", given)
    own = module.state_dict()
    fit = compare(own, state)
    if not any(own[k].is_floating_point() for k in fit.taken):
        raise MisconfigurationException(
            f"start_from: no weight of {Path(path).name} has the name and shape of one here. {fit.in_words()}"
        )
    module.load_state_dict({k: state[k] for k in fit.taken}, strict=False)
    rank_zero_info(f"Start from {Path(path).name}: {fit.in_words()}")
    return fit


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm)
