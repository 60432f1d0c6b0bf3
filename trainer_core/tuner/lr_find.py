"""The learning-rate range test: one training step per rate, from small to large, and the rate that it suggests.

Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException
from trainer_core.rank import rank_zero_info, rank_zero_warn
from trainer_core.tuner.attributes import has_attribute, write_attribute
from trainer_core.tuner.trial import run_fit, trial

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

Mode = Literal["exponential", "linear"]
MODES = ("exponential", "linear")
ATTRIBUTES = ("lr", "learning_rate")
#: How much of the smoothed loss the past makes.
SMOOTHING = 0.98


class LearningRateRange:
    """What a range test found: `results` has the lists `lr` and `loss` (smoothed; NaN where a step had none)."""

    def __init__(self, mode: Mode, lr_min: float, lr_max: float, num_training: int) -> None:
        if mode not in MODES:
            raise ValueError(f"mode: got {mode!r}, allowed is one of {', '.join(MODES)}.")
        self.mode, self.lr_min, self.lr_max, self.num_training = mode, lr_min, lr_max, num_training
        self.results: dict[str, list[float]] = {"lr": [], "loss": []}
        self._optimal_idx: int | None = None

    def rate(self, step: int) -> float:
        """Learning rate of the 0-based `step`: the first is `lr_min`, the last `lr_max`."""
        if step == 0:
            return self.lr_min
        share = (step + 1) / self.num_training
        if self.mode == "linear":
            return self.lr_min + share * (self.lr_max - self.lr_min)
        return float(self.lr_min * (self.lr_max / self.lr_min) ** share)

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """The rate at which the loss falls most steeply; None (with a warning) when fewer than two points are left.

        `skip_begin` and `skip_end` points do not count; neither do losses that are not finite.
        """
        rates, losses = self.results["lr"], self.results["loss"]
        used = [i for i in range(skip_begin, len(losses) - skip_end) if math.isfinite(losses[i])]
        if len(used) < 2:
            self._optimal_idx = None
            rank_zero_warn(
                f"No learning rate can be suggested from {len(losses)} points of which {len(used)} count. Raise "
                "num_training, or give more data."
            )
            return None
        slopes = torch.gradient(
            torch.tensor([losses[i] for i in used]), spacing=[torch.tensor([rates[i] for i in used])]
        )[0]
        self._optimal_idx = used[int(torch.argmin(slopes))]
        return rates[self._optimal_idx]

    def plot(self, suggest: bool = False, show: bool = False, ax: Any = None) -> Any:
        """A matplotlib figure of loss over rate; `suggest` marks the suggested point.

        ModuleNotFoundError without matplotlib.
        """
        try:
            import matplotlib.pyplot as plt
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("plot() needs the package matplotlib: `pip install matplotlib`.") from error
        figure, ax = plt.subplots() if ax is None else (ax.figure, ax)
        rates, losses = self.results["lr"], self.results["loss"]
        ax.plot(rates, losses)
        if self.mode == "exponential":
            ax.set_xscale("log")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Loss")
        if suggest and self.suggestion() is not None and self._optimal_idx is not None:
            at = self._optimal_idx
            ax.plot(rates[at], losses[at], markersize=10, marker="o", color="red")
        if show:
            plt.show()
        return figure


class _Sweep(Callback):
    """Sets the rate before each step, notes the smoothed loss after it, and stops when it diverges."""

    def __init__(self, found: LearningRateRange, early_stop_threshold: float | None) -> None:
        self.found, self.threshold = found, early_stop_threshold
        self._average = self._best = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._set_rate(trainer, 0)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        if trainer.fit_loop.accumulates:
            return
        rates, losses = self.found.results["lr"], self.found.results["loss"]
        rates.append(self.found.rate(len(rates)))
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        losses.append(float("nan") if loss is None else self._smoothed(float(loss), len(rates)))
        trainer.should_stop = trainer.strategy.broadcast(trainer.should_stop or self._diverges(losses[-1], len(rates)))
        self._set_rate(trainer, len(rates))

    def _smoothed(self, loss: float, step: int) -> float:
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        return self._average / (1 - SMOOTHING ** (step + 1))

    def _diverges(self, loss: float, step: int) -> bool:
        over = self.threshold is not None and step > 1 and loss > self.threshold * self._best
        if loss < self._best or step == 1:
            self._best = loss
        return over

    def _set_rate(self, trainer: Trainer, step: int) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.found.rate(step)


def lr_attribute(module: LightningModule, name: str = "") -> str:
    """The attribute that holds the learning rate: `name`, or `lr`, or `learning_rate`. AttributeError if none."""
    for one in [name] if name else ATTRIBUTES:
        if has_attribute(module, one):
            return one
    wanted = repr(name) if name else "one of 'lr', 'learning_rate'"
    raise AttributeError(
        f"attr_name: got {name!r}, but neither the module nor the datamodule nor their hparams have {wanted}. Name the "
        "attribute that holds the learning rate."
    )


def find_lr(
    trainer: Trainer,
    *,
    min_lr: float,
    max_lr: float,
    num_training: int,
    mode: Mode,
    early_stop_threshold: float | None,
) -> LearningRateRange:
    """Run the test with the module, data and optimizer of `trainer`, and leave all of them as they are.

    Validation does not run. Ends early when the smoothed loss is above `early_stop_threshold` times the best so far.
    MisconfigurationException for more than one optimizer.
    """
    found = LearningRateRange(mode, min_lr, max_lr, num_training)
    if len(trainer.optimizers) != 1:
        raise MisconfigurationException(f"lr_find needs 1 optimizer, there are {len(trainer.optimizers)}.")
    with trial(trainer):
        run_fit(trainer, num_training, [_Sweep(found, early_stop_threshold)])
    found.results = trainer.strategy.broadcast(found.results)
    done = len(found.results["lr"])
    if done < num_training:
        rank_zero_info(f"The learning-rate finder stopped after {done} of {num_training} steps, as the loss diverged.")
    return found


def use_lr(trainer: Trainer, module: LightningModule, name: str, lr: float) -> None:
    """Set the attribute, and let a run that is under way go on with `lr`.

    Before the first step, optimizers and schedulers are made anew; later, each group gets the rate.
    """
    write_attribute(module, name, lr)
    rank_zero_info(f"Learning rate set to {lr}")
    if trainer.optimizers and not any(o.state for o in trainer.optimizers):
        trainer.strategy.setup_optimizers()
        trainer.strategy.optimizers_to_device()
        return
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
