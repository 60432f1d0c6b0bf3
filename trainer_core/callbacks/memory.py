"""FitToMemory: a batch that does not fit into memory is trained on in parts, with the same gradients."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from trainer_core.callback import Callback
from trainer_core.errors import MisconfigurationException
from trainer_core.loops.pieces import parts_of
from trainer_core.rank import rank_zero_warn
from trainer_core.results import measure_batch

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class FitToMemory(Callback):
    """When a training step runs out of memory: free it, halve the micro-batch, and run the step again.

    Each batch is then cut into parts of at most `micro_batch_size` samples whose gradients are added up with their
    share, so that batch, steps, schedules and logged values stay those of a run that fits (up to rounding); only
    BatchNorm sees fewer samples at a time, which is said. The size is kept in checkpoints. Losses must be means over
    samples (over valid labels with `accumulate_by="tokens"`). Metric objects that a failed attempt had updated count its
    samples twice; with `randomness="stream"`, a step that runs again draws new random numbers. A run that was resumed inside
    an accumulation window cannot begin that window again. For one process and automatic optimization; costs nothing but a reference to the batches of an
    accumulation window while everything fits.
    """

    def __init__(self, micro_batch_size: int | None = None) -> None:
        if micro_batch_size is not None and (isinstance(micro_batch_size, bool) or micro_batch_size < 1):
            raise ValueError(f"micro_batch_size: got {micro_batch_size!r}, allowed is a whole number of at least 1.")
        self.micro_batch_size = micro_batch_size

    def state_dict(self) -> dict[str, Any]:
        return {"micro_batch_size": self.micro_batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.micro_batch_size = state_dict["micro_batch_size"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if trainer.world_size > 1:
            raise MisconfigurationException(
                f"fit_to_memory: got True with {trainer.world_size} processes, allowed is one process: the others would "
                "wait for the gradients of the one that runs out of memory."
            )
        if not pl_module.automatic_optimization:
            raise MisconfigurationException("fit_to_memory: got True, allowed is False with manual optimization.")
        trainer.fit_loop.memory = self

    def parts(self, batch: Any) -> list[Any]:
        """`batch` whole, or in parts that are known to fit."""
        micro = self.micro_batch_size
        if micro is None:
            return [batch]
        size = measure_batch(batch)[0]
        return [batch] if size <= micro else list(parts_of(batch, size, micro))

    def may_halve(self, batch: Any) -> bool:
        return self._present(batch) > 1

    def _present(self, batch: Any) -> int:
        size = measure_batch(batch)[0]
        return size if self.micro_batch_size is None else min(size, self.micro_batch_size)

    def halve(self, trainer: Trainer, batch: Any) -> None:
        """Free what the failed attempt held, and take half as many samples at a time from now on."""
        size, before = measure_batch(batch)[0], self._present(batch)
        self.micro_batch_size = (before + 1) // 2
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        text = (
            f"Memory ran out with {before} samples at a time. Each batch of {size} is now trained on in parts of "
            f"{self.micro_batch_size}; its gradients stay those of the whole batch."
        )
        if any(isinstance(m, _BatchNorm) and m.training for m in trainer.lightning_module.modules()):
            text += (
                f" The model has BatchNorm, whose statistics are now over {self.micro_batch_size} samples instead of "
                f"{size}: results differ from those of a run that fits."
            )
        rank_zero_warn(text)
