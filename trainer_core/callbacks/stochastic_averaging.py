"""Stochastic weight averaging: the mean of the weights at the starts of the last epochs, at a constant learning rate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import SWALR

from trainer_core.callback import Callback
from trainer_core.callbacks.averaging import has_batch_norm
from trainer_core.errors import MisconfigurationException
from trainer_core.optimizers import LRSchedulerConfig
from trainer_core.rank import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

#: (average, weights, number averaged so far) → new average
AverageFn = Callable[[Tensor, Tensor, Tensor], Tensor]


def equal_average(average: Tensor, weights: Tensor, count: Tensor) -> Tensor:
    return average + (weights - average) / (count + 1)


class StochasticWeightAveraging(Callback):
    """Averages the weights at each epoch's start, from epoch `swa_epoch_start` (1-based, or a share of max_epochs) on.

    From then on `SWALR` leads the learning rate to `swa_lrs` (one, or one per parameter group). Training that runs to
    max_epochs ends with the averages as weights; with BatchNorm, one more epoch without updates renews its statistics,
    so `current_epoch` ends at max_epochs + 1. `device` is where the averages are kept (None: the module's). Needs one
    optimizer and at most one scheduler. MisconfigurationException for anything else.
    """

    def __init__(
        self,
        swa_lrs: float | list[float],
        swa_epoch_start: int | float = 0.8,
        annealing_epochs: int = 10,
        annealing_strategy: Literal["cos", "linear"] = "cos",
        avg_fn: AverageFn | None = None,
        device: torch.device | str | None = "cpu",
    ) -> None:
        _check(swa_lrs, swa_epoch_start, avg_fn, device)
        self._lrs, self._start, self._device = swa_lrs, swa_epoch_start, device
        self._annealing_epochs, self._strategy = annealing_epochs, annealing_strategy
        self._average_of = avg_fn or equal_average
        self._max_epochs = 0
        self._module: LightningModule | None = None
        #: By parameter name; empty before the first epoch that counts.
        self._average: dict[str, Tensor] = {}
        self._n_averaged = 0
        self._last_epoch = -1
        self._scheduler: SWALR | None = None
        self._scheduler_state: dict[str, Any] | None = None
        self._momenta: dict[nn.Module, float | None] = {}
        self._accumulated = 0
        self._has_extra_epoch = False

    @property
    def swa_start(self) -> int:
        """First epoch (0-based) at whose start the weights are averaged."""
        return max(int(self._start) - 1, 0)

    @property
    def swa_end(self) -> float:
        """Last such epoch (0-based); infinity without max_epochs."""
        return float("inf") if self._max_epochs == -1 else self._max_epochs - 1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._module = pl_module

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if len(trainer.optimizers) != 1:
            raise MisconfigurationException(f"SWA needs 1 optimizer, there are {len(trainer.optimizers)}.")
        if len(trainer.lr_scheduler_configs) > 1:
            raise MisconfigurationException(
                f"SWA allows at most 1 lr scheduler, there are {len(trainer.lr_scheduler_configs)}."
            )
        self._max_epochs = trainer.max_epochs
        if isinstance(self._start, float):
            if self._max_epochs == -1:
                raise MisconfigurationException(
                    f"swa_epoch_start: got {self._start!r}, allowed with max_epochs=-1 is a whole number of epochs."
                )
            self._start = int(self._max_epochs * self._start)
        if has_batch_norm(pl_module) and self._max_epochs != -1:
            if not pl_module.automatic_optimization:
                raise MisconfigurationException(
                    "SWA of a module with BatchNorm needs automatic optimization: its extra epoch must not train, and "
                    "with manual optimization that is up to `training_step`."
                )
            trainer.fit_loop.max_epochs += 1
            self._has_extra_epoch = True
        if self._scheduler_state is not None:
            # The saved scheduler is the SWALR: its state must not go into the module's own scheduler.
            trainer.lr_scheduler_configs.clear()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._scheduler_state is not None:
            self._swap_scheduler(trainer)
        if trainer.fit_loop.restarting and trainer.current_epoch == self.swa_end + 1:
            self._begin_refresh(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch
        if self.swa_start <= epoch <= self.swa_end:
            if self._scheduler is None:
                self._swap_scheduler(trainer)
            if epoch > self._last_epoch:
                self._update(pl_module)
                self._last_epoch = epoch
        if epoch == self.swa_end + 1:
            self._to_module(pl_module)
            for module in _batch_norms(pl_module):
                module.reset_running_stats()
            # The gradients of the last update must not be applied to the averages.
            trainer.optimizers[0].zero_grad()
            self._begin_refresh(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_refresh(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        refreshed = self._has_extra_epoch and trainer.current_epoch - 1 == self.swa_end + 1
        self._restore_max_epochs(trainer)
        if not refreshed and (trainer.current_epoch - 1 == self.swa_end or self._max_epochs == -1):
            self._to_module(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._end_refresh(trainer)
        self._restore_max_epochs(trainer)

    def state_dict(self) -> dict[str, Any]:
        state = None if self._module is None else self._module.state_dict()
        if state is not None and self._module is not None:
            names = {id(p): name for name, p in self._module.named_parameters()}
            for name, parameter in self._module.named_parameters(remove_duplicate=False):
                state[name] = self._average.get(names[id(parameter)], state[name])
        return {
            "n_averaged": self._n_averaged,
            "latest_update_epoch": self._last_epoch,
            "scheduler_state": None if self._scheduler is None else self._scheduler.state_dict(),
            "average_model_state": state,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._n_averaged = int(state_dict["n_averaged"])
        self._last_epoch = state_dict["latest_update_epoch"]
        self._scheduler_state = state_dict["scheduler_state"]
        state = state_dict["average_model_state"]
        if self._n_averaged and self._module is not None:
            self._average = {name: self._kept(state[name]).clone() for name, _ in self._module.named_parameters()}

    # Averages.

    def _update(self, pl_module: LightningModule) -> None:
        count = torch.tensor(self._n_averaged)
        with torch.no_grad():
            for name, parameter in pl_module.named_parameters():
                current = self._kept(parameter.detach())
                if self._n_averaged == 0:
                    self._average[name] = current.clone()
                else:
                    average = self._average[name].to(current.device)
                    self._average[name] = self._average_of(average, current, count.to(current.device))
        self._n_averaged += 1

    def _kept(self, tensor: Tensor) -> Tensor:
        """`tensor` where averages are kept."""
        return tensor if self._device is None else tensor.to(self._device)

    def _to_module(self, pl_module: LightningModule) -> None:
        if self._average:
            with torch.no_grad():
                for name, parameter in pl_module.named_parameters():
                    parameter.copy_(self._average[name])

    def _swap_scheduler(self, trainer: Trainer) -> None:
        """From now on SWALR steps at each epoch's end; when resumed, from the state in which it was saved."""
        optimizer = trainer.optimizers[0]
        groups = optimizer.param_groups
        lrs: Any = self._lrs if isinstance(self._lrs, list) else [self._lrs] * len(groups)
        for lr, group in zip(lrs, groups, strict=True):
            group["initial_lr"] = lr
        last = trainer.max_epochs if self._strategy == "cos" else -1
        self._scheduler = SWALR(optimizer, lrs, self._annealing_epochs, self._strategy, last_epoch=last)
        if self._scheduler_state is not None:
            self._scheduler.load_state_dict(self._scheduler_state)
            self._scheduler_state = None
        elif trainer.current_epoch != self.swa_start:
            rank_zero_warn("SWA begins after its start epoch, as the checkpoint has no state of it.")
        configs = trainer.lr_scheduler_configs
        if configs:
            if configs[0].interval != "epoch" or configs[0].frequency != 1:
                rank_zero_warn(f"SWA steps its scheduler every epoch; this scheduler does not: {configs[0]}")
            rank_zero_info(f"Swapping scheduler `{type(configs[0].scheduler).__name__}` for `SWALR`")
        configs[:] = [LRSchedulerConfig(self._scheduler)]

    # The extra epoch, which renews BatchNorm's statistics.

    def _begin_refresh(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._momenta = {module: module.momentum for module in _batch_norms(pl_module)}
        for module in _batch_norms(pl_module):
            module.momentum = None
        loop = trainer.fit_loop
        loop.skip_backward = True
        self._accumulated = trainer.accumulate_grad_batches
        # The whole epoch is one window; it is counted as one step.
        trainer.accumulate_grad_batches = int(loop.max_batches) if loop.max_batches != float("inf") else sys.maxsize

    def _end_refresh(self, trainer: Trainer) -> None:
        if trainer.fit_loop.skip_backward:
            trainer.fit_loop.skip_backward = False
            trainer.accumulate_grad_batches = self._accumulated
            for module, momentum in self._momenta.items():
                module.momentum = momentum  # type: ignore[assignment]
            self._momenta = {}

    def _restore_max_epochs(self, trainer: Trainer) -> None:
        if self._has_extra_epoch:
            trainer.fit_loop.max_epochs -= 1
            self._has_extra_epoch = False


def _batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Those that keep running statistics."""
    kind = nn.modules.batchnorm._BatchNorm
    return [m for m in module.modules() if isinstance(m, kind) and m.running_mean is not None]


def _check(lrs: Any, start: Any, avg_fn: Any, device: Any) -> None:
    numbers = lrs if isinstance(lrs, list) else [lrs]
    whole = isinstance(start, int) and not isinstance(start, bool) and start >= 1
    share = isinstance(start, float) and 0 <= start <= 1
    wrong: list[tuple[str, Any, str]] = []
    if not numbers or not all(isinstance(lr, float) and lr > 0 for lr in numbers):
        wrong.append(("swa_lrs", lrs, "a positive float or a list of them"))
    if not (whole or share):
        wrong.append(("swa_epoch_start", start, "a whole number of at least 1 or a float from 0 to 1"))
    if avg_fn is not None and not callable(avg_fn):
        wrong.append(("avg_fn", avg_fn, "a function (average, weights, count) → average"))
    if device is not None and not isinstance(device, torch.device | str):
        wrong.append(("device", device, "a torch.device, its name, or None"))
    for name, given, allowed in wrong:
        raise MisconfigurationException(f"{name}: got {given!r}, allowed is {allowed}.")
