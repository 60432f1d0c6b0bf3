"""Logs what the device and the machine are doing: memory, utilisation, temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trainer_core.callback import Callback
from trainer_core.callbacks.moments import writes_now
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class DeviceStatsMonitor(Callback):
    """Logs device statistics every `log_every_n_steps` batches of training, validation and testing.

    Keys are `DeviceStatsMonitor.on_train_batch_start/cpu_percent` and the like, before and after the batch.
    `cpu_stats` None logs the CPU's only when training on it; True always; False never. `filter_keys` names the ones to
    keep. MisconfigurationException without a logger, ModuleNotFoundError without psutil where the CPU is asked for.
    """

    def __init__(self, cpu_stats: bool | None = None, filter_keys: set[str] | None = None) -> None:
        self._cpu_stats, self._filter = cpu_stats, filter_keys

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and not trainer.loggers:
            raise MisconfigurationException("DeviceStatsMonitor needs a logger; the trainer has none (logger=False).")
        if self._reads_cpu(trainer):
            try:
                import psutil
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    "DeviceStatsMonitor needs the package psutil: `pip install psutil`."
                ) from error
            psutil.cpu_percent()  # the first call only starts the measurement

    def _reads_cpu(self, trainer: Trainer) -> bool:
        on_cpu = trainer.strategy.root_device.type == "cpu"
        return on_cpu if self._cpu_stats is None else self._cpu_stats

    def _write(self, trainer: Trainer, moment: str) -> None:
        device = trainer.strategy.root_device
        stats: dict[str, float] = {}
        if device.type == "cuda":
            stats.update(cuda_stats(device))
        if self._reads_cpu(trainer):
            stats.update(cpu_stats())
        if self._filter is not None:
            stats = {k: v for k, v in stats.items() if k in self._filter}
        if not stats:
            return
        for logger in trainer.loggers:
            prefix = f"{type(self).__qualname__}.{moment}{logger.group_separator}"
            named = {f"{prefix}{k}": float(v) for k, v in stats.items()}
            logger.log_metrics(named, step=trainer.fit_loop.batches_that_stepped)

    def _write_if_due(self, trainer: Trainer, moment: str, batch_idx: int) -> None:
        every = trainer.log_every_n_steps
        if every and not trainer.sanity_checking and (batch_idx + 1) % every == 0:
            self._write(trainer, moment)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if writes_now(trainer):
            self._write(trainer, "on_train_batch_start")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if writes_now(trainer):
            self._write(trainer, "on_train_batch_end")

    def on_validation_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._write_if_due(trainer, "on_validation_batch_start", args[2])

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._write_if_due(trainer, "on_validation_batch_end", args[3])

    def on_test_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._write_if_due(trainer, "on_test_batch_start", args[2])

    def on_test_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._write_if_due(trainer, "on_test_batch_end", args[3])


def cpu_stats() -> dict[str, float]:
    """cpu_percent, cpu_vm_percent and cpu_swap_percent, each 0 to 100."""
    import psutil

    return {
        "cpu_percent": psutil.cpu_percent(),
        "cpu_vm_percent": psutil.virtual_memory().percent,
        "cpu_swap_percent": psutil.swap_memory().percent,
    }


def cuda_stats(device: torch.device) -> dict[str, float]:
    """The allocator's counters (bytes and counts) of `torch.cuda.memory_stats`."""
    return dict(torch.cuda.memory_stats(device))
