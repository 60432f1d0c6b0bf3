"""Averages of the weights over the run: what validation sees and what a checkpoint's `state_dict` holds."""

from __future__ import annotations

import copy
import itertools
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from trainer_core.callback import KeepsAverage
from trainer_core.durations import Duration, parse_duration
from trainer_core.errors import MisconfigurationException
from trainer_core.loops.intervals import steps_in

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class WeightAveraging(KeepsAverage):
    """Keeps an equal average of the weights after each optimizer step (`torch.optim.swa_utils.AveragedModel`).

    The average is swapped in for validation, copied into the module at the end of training, and saved as the
    checkpoint's `state_dict`; the weights in training are saved as `current_model_state`. Override `should_update`
    to choose when to average. `use_buffers` averages buffers (BatchNorm statistics) too.
    """

    def __init__(self, device: torch.device | str | int | None = None, use_buffers: bool = True, **kwargs: Any) -> None:
        self._device = torch.device(device) if device is not None else None
        self._use_buffers, self._options = use_buffers, kwargs
        self._average: AveragedModel | None = None
        self._is_swapped = False
        self._last_step = 0
        self._last_epoch = -1

    def modules(self, pl_module: torch.nn.Module) -> dict[str, torch.nn.Module]:
        if self._average is None:
            return {}
        average = self._average.module
        return {"": average, self.state_key: pl_module} if self._is_swapped else {self.state_key: average}

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to average after the optimizer step `step_idx`, or at the end of epoch `epoch_idx` (both 0-based)."""
        return step_idx is not None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and self._average is None:
            with trainer.strategy.precision_plugin.init_context(), trainer.strategy.root_device:
                pl_module.configure_model()  # the average needs the layers; a hook that may be called twice
            device = self._device if self._device is not None else pl_module.device
            self._average = AveragedModel(pl_module, device=device, use_buffers=self._use_buffers, **self._options)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._average is not None and self._device is None:
            self._average.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step > self._last_step and self.should_update(step_idx=step - 1):
            self._update(pl_module)
            self._last_step = step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch
        if epoch > self._last_epoch and self.should_update(epoch_idx=epoch):
            self._update(pl_module)
            self._last_epoch = epoch

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._average is not None and int(self._average.n_averaged) > 0:
            with torch.no_grad():
                for average, current in self._pairs(pl_module):
                    current.copy_(average)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """An error in validation must not leave the average in the module, nor save it as the weights in training."""
        if self._is_swapped:
            self._swap(pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"latest_update_step": self._last_step, "latest_update_epoch": self._last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last_step = state_dict["latest_update_step"]
        self._last_epoch = state_dict.get("latest_update_epoch", -1)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._average is None:
            return
        if self._is_swapped:
            # Saved in the middle of a validation.
            self._swap(pl_module)
            checkpoint["state_dict"] = trainer.strategy.module_state()
            self._add_average(checkpoint, copied=True)
            self._swap(pl_module)
        else:
            self._add_average(checkpoint, copied=False)

    def _add_average(self, checkpoint: dict[str, Any], *, copied: bool) -> None:
        assert self._average is not None
        state = self._average.state_dict()
        if copied:
            state, checkpoint["state_dict"] = copy.deepcopy(state), copy.deepcopy(dict(checkpoint["state_dict"]))
        checkpoint["current_model_state"] = checkpoint["state_dict"]
        if int(self._average.n_averaged) > 0:  # before, the copy holds the weights of the beginning
            averaged = {k.removeprefix("module."): v for k, v in state.items() if k.startswith("module.")}
            checkpoint["state_dict"] = {**checkpoint["state_dict"], **averaged}
        checkpoint["averaging_state"] = {k: v for k, v in state.items() if not k.startswith("module.")}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._average is None:
            return
        if "current_model_state" not in checkpoint:
            warnings.warn("The checkpoint holds no averaged weights; averaging starts from its weights.", stacklevel=2)
            self._average.module.load_state_dict(checkpoint["state_dict"])
            return
        averaged = {f"module.{k}": v for k, v in checkpoint["state_dict"].items()}
        self._average.load_state_dict({**averaged, **checkpoint["averaging_state"]})
        pl_module.load_state_dict(checkpoint["current_model_state"])

    def _update(self, pl_module: LightningModule) -> None:
        assert self._average is not None
        self._average.update_parameters(pl_module)

    def _pairs(self, pl_module: LightningModule) -> Any:
        assert self._average is not None
        ours, theirs = self._average.module, pl_module
        return zip(
            itertools.chain(ours.parameters(), ours.buffers()),
            itertools.chain(theirs.parameters(), theirs.buffers()),
            strict=True,
        )

    def _swap(self, pl_module: LightningModule) -> None:
        if self._average is None or int(self._average.n_averaged) == 0:
            return
        self._is_swapped = not self._is_swapped
        with torch.no_grad():
            for average, current in self._pairs(pl_module):
                kept = average.detach().clone()
                average.copy_(current)
                current.copy_(kept)


class EMAWeightAveraging(WeightAveraging):
    """An exponential moving average: `average = decay * average + (1 - decay) * weights`.

    `update_starting_at_step` and `update_starting_at_epoch` (0-based) delay the start; with only the epoch given the
    average is also updated at the end of each epoch from then on. `start`, a duration such as `"10%"` or `"2ep"`, says the
    first step in any unit but time. MisconfigurationException for a decay outside [0, 1).
    """

    def __init__(
        self,
        device: torch.device | str | int | None = None,
        use_buffers: bool = True,
        decay: float = 0.999,
        update_every_n_steps: int = 1,
        update_starting_at_step: int | None = None,
        update_starting_at_epoch: int | None = None,
        start: Duration | str | None = None,
        **kwargs: Any,
    ) -> None:
        if not 0 <= decay < 1:
            raise MisconfigurationException(f"decay: got {decay!r}, allowed is a number from 0 to below 1.")
        if update_every_n_steps < 1:
            raise MisconfigurationException(
                f"update_every_n_steps: got {update_every_n_steps!r}, allowed is a whole number of at least 1."
            )
        super().__init__(device, use_buffers, avg_fn=get_ema_avg_fn(decay=decay), **kwargs)
        self.update_every_n_steps = update_every_n_steps
        self.update_starting_at_step = update_starting_at_step
        self.update_starting_at_epoch = update_starting_at_epoch
        self.start = parse_duration(start, name="start") if start is not None else None
        if self.start is not None and self.start.unit == "s":
            raise MisconfigurationException(
                f"start: got {start!r}, allowed is 10ep, 500st, 64ba, 1e6sp or 25%, not a time."
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.start is not None:
            self.update_starting_at_step = steps_in(trainer, self.start)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        if step_idx is not None:
            started = self.update_starting_at_step is None or step_idx >= self.update_starting_at_step
            return started and step_idx % self.update_every_n_steps == 0
        return (
            epoch_idx is not None
            and self.update_starting_at_epoch is not None
            and epoch_idx >= self.update_starting_at_epoch
        )


def has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())
