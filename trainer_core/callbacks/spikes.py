"""Stops when the loss jumps, and remembers the batch, so that the next attempt can skip it."""

from __future__ import annotations

import json
import math
import operator
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from trainer_core.callback import Callback
from trainer_core.errors import TrainerCoreError

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


class TrainingSpikeException(TrainerCoreError, RuntimeError):
    """The loss jumped at `batch_idx`."""

    def __init__(self, batch_idx: int, path: str | os.PathLike[str]) -> None:
        super().__init__(
            f"The loss jumped at batch {batch_idx}; that batch and the one before are listed in {os.fspath(path)}. "
            "Leave them out and resume from the last checkpoint."
        )
        self.batch_idx = batch_idx


class SpikeDetection(Callback):
    """Compares each loss with the mean of the last `window` ones, after `warmup` batches.

    A spike is a loss that is worse than the mean (in the direction of `mode`) by at least `atol` and by at least the
    factor `rtol` of the mean (None: any distance), or not finite when `finite_only`. Raises TrainingSpikeException in
    all processes, after writing the indices of the batch and of the one before, whose update may be the cause, to
    `exclude_batches_path` (a `.json` file or a folder; default: below the root folder). The check reads the loss on the
    host each batch: on a GPU that is a synchronisation. ValueError for a wrong mode.
    """

    def __init__(
        self,
        mode: Literal["min", "max"] = "min",
        window: int = 10,
        warmup: int = 1,
        atol: float | None = None,
        rtol: float | None = 2.0,
        exclude_batches_path: str | os.PathLike[str] | None = None,
        finite_only: bool = True,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode: got {mode!r}, allowed is one of 'min', 'max'.")
        self._worse = operator.gt if mode == "min" else operator.lt
        self.mode, self.window, self.warmup = mode, window, warmup
        self.atol, self.rtol, self.finite_only = atol, rtol, finite_only
        self.exclude_batches_path = exclude_batches_path
        self.bad_batches: list[int] = []
        self._recent: deque[float] = deque(maxlen=window)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if not isinstance(loss, torch.Tensor | float | int):
            return
        value = float(loss)
        spike = batch_idx >= self.warmup and self._is_spike(value)
        if trainer.strategy.reduce_boolean_decision(spike, all=False):
            self.bad_batches += [batch_idx - 1, batch_idx]
            path = Path(self.exclude_batches_path or trainer.default_root_dir)
            path = path if path.suffix == ".json" else path / "skip_batches.json"
            if trainer.is_global_zero:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(self.bad_batches), encoding="utf-8")
            raise TrainingSpikeException(batch_idx, path)
        if math.isfinite(value):
            self._recent.append(value)

    def _is_spike(self, value: float) -> bool:
        if not math.isfinite(value):
            return self.finite_only
        if not self._recent:
            return False
        mean = sum(self._recent) / len(self._recent)
        if not self._worse(value, mean):
            return False
        distance = abs(value - mean)
        enough = self.atol is None or distance >= abs(self.atol)
        return enough and (self.rtol is None or distance >= abs(self.rtol * mean))

    def state_dict(self) -> dict[str, Any]:
        return {"recent": list(self._recent), "bad_batches": self.bad_batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._recent = deque(state_dict.get("recent", []), maxlen=self.window)
        self.bad_batches = list(state_dict.get("bad_batches", []))
