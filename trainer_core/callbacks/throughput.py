"""Batches, samples, items and FLOPs a second over a sliding window, and the share of the chip's peak (MFU)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trainer_core.callback import Callback
from trainer_core.callbacks.moments import writes_now
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer

# Dense peak of one chip in 1e12 operations a second (float32 without TF32, half precision), from the vendors' data
# sheets.
PEAKS: dict[str, tuple[float, float]] = {
    "h200": (67.0, 989.0),
    "h100 nvl": (60.0, 835.0),
    "h100 pcie": (51.0, 756.0),
    "h100": (67.0, 989.0),
    "l40s": (91.6, 362.0),
    "l40": (90.5, 181.0),
    "l4": (30.3, 121.0),
    "a100": (19.5, 312.0),
    "a40": (37.4, 149.7),
    "a10g": (31.2, 70.0),
    "a10": (31.2, 125.0),
    "v100": (15.7, 125.0),
    "t4": (8.1, 65.0),
    "rtx 4090": (82.6, 165.2),
    "rtx 3090": (35.6, 71.0),
}


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """Operations a second that the chip can do in `dtype`, None when it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device).lower()
    for chip, (single, half) in PEAKS.items():
        if chip in name:
            return (single if dtype == torch.float32 else half) * 1e12
    return None


class Throughput:
    """Sliding-window rates; `update` with running totals, `compute` for the rates.

    `available_flops` (operations a second) gives the `mfu` keys. Keys carry the prefix `device/` and `global/` when
    `world_size` is more than 1.
    """

    def __init__(
        self, available_flops: float | None = None, world_size: int = 1, window_size: int = 100, separator: str = "/"
    ) -> None:
        if world_size < 1 or window_size < 2:
            raise MisconfigurationException(
                f"world_size: got {world_size}, at least 1; window_size: got {window_size}, at least 2."
            )
        self.available_flops, self.world_size, self.separator = available_flops, world_size, separator
        self._rows: deque[tuple[float, int, int, int]] = deque(maxlen=window_size)
        self._flops: deque[float] = deque(maxlen=window_size)

    def update(
        self, *, time: float, batches: int, samples: int, lengths: int | None = None, flops: float | None = None
    ) -> None:
        """`time` in seconds since the start; batches, samples and lengths (items) are totals; flops of this batch."""
        if self._rows and time < self._rows[-1][0]:
            raise ValueError(f"time went back from {self._rows[-1][0]} to {time}")
        self._rows.append((time, batches, samples, lengths or 0))
        if flops is not None:
            self._flops.append(flops)

    def compute(self) -> dict[str, float]:
        if not self._rows:
            return {}
        time, batches, samples, lengths = self._rows[-1]
        found: dict[str, float] = {"time": time, "batches": batches, "samples": samples}
        if lengths:
            found["lengths"] = lengths
        if len(self._rows) < 2:
            return found
        first = self._rows[0]
        elapsed = time - first[0]
        if elapsed <= 0:
            return found
        rates = {"batches_per_sec": (batches - first[1]) / elapsed, "samples_per_sec": (samples - first[2]) / elapsed}
        if lengths:
            rates["items_per_sec"] = (lengths - first[3]) / elapsed
        if len(self._flops) > 1:
            rates["flops_per_sec"] = (sum(self._flops) - self._flops[0]) / elapsed
        for key, value in rates.items():
            found[f"device{self.separator}{key}"] = value
            if self.world_size > 1:
                found[key] = value * self.world_size
        if "flops_per_sec" in rates and self.available_flops:
            found[f"device{self.separator}mfu"] = rates["flops_per_sec"] / self.available_flops
        return found

    def reset(self) -> None:
        self._rows.clear()
        self._flops.clear()


class ThroughputMonitor(Callback):
    """Logs `train/device/samples_per_sec` and the like every `log_every_n_steps` steps.

    `batch_size_fn(batch)` counts samples, `length_fn(batch)` items (tokens, pixels); a module attribute
    `flops_per_batch` (number or callable) gives FLOPs, for example by `measure_flops`. The time of validation within
    fit does not count as training. Reading the clock needs no synchronisation; on a GPU rates are right on average
    over the window. Rates come from the second batch on. MisconfigurationException without a logger.
    """

    def __init__(
        self,
        batch_size_fn: Callable[[Any], int],
        length_fn: Callable[[Any], int] | None = None,
        *,
        window_size: int = 100,
        separator: str = "/",
        available_flops: float | None = None,
    ) -> None:
        self.batch_size_fn, self.length_fn = batch_size_fn, length_fn
        self._options = {"window_size": window_size, "separator": separator}
        self._available_flops = available_flops
        self._throughputs: dict[str, Throughput] = {}
        #: By stage: when it began (monotonic seconds), batches, samples, items.
        self._totals: dict[str, list[float]] = {}
        self._paused_at = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and not trainer.loggers:
            raise MisconfigurationException("ThroughputMonitor needs a logger; the trainer has none (logger=False).")

    def _start(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        peak = self._available_flops
        if peak is None:
            peak = peak_flops(pl_module.device, _computing_dtype(trainer, pl_module))
        self._throughputs[stage] = Throughput(peak, trainer.world_size, **self._options)  # type: ignore[arg-type]
        self._totals[stage] = [time.monotonic(), 0, 0, 0]

    def _count(self, pl_module: LightningModule, stage: str, batch: Any) -> None:
        totals = self._totals[stage]
        totals[1] += 1
        totals[2] += self.batch_size_fn(batch)
        if self.length_fn is not None:
            totals[3] += self.length_fn(batch)
        flops = getattr(pl_module, "flops_per_batch", None)
        self._throughputs[stage].update(
            time=time.monotonic() - totals[0],
            batches=int(totals[1]),
            samples=int(totals[2]),
            lengths=int(totals[3]) if self.length_fn is not None else None,
            flops=flops() if callable(flops) else flops,
        )

    def _write(self, trainer: Trainer, stage: str, step: int | None) -> None:
        separator = str(self._options["separator"])
        found = self._throughputs[stage].compute()
        trainer.recorder.write({f"{stage}{separator}{k}": float(v) for k, v in found.items()}, step)

    def _count_evaluated(self, trainer: Trainer, pl_module: LightningModule, stage: str, batch: Any) -> None:
        self._count(pl_module, stage, batch)
        done, every = int(self._totals[stage][1]), trainer.log_every_n_steps
        if every and done % every == 0:
            self._write(trainer, stage, done)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(trainer, pl_module, "train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._count(pl_module, "train", batch)
        # Within a window of accumulation the update is still missing.
        if not trainer.fit_loop.accumulates and writes_now(trainer):
            self._write(trainer, "train", None)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._start(trainer, pl_module, "validate")
            self._paused_at = time.monotonic()

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if not trainer.sanity_checking:
            self._count_evaluated(trainer, pl_module, "validate", args[1])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._totals["train"][0] += time.monotonic() - self._paused_at

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(trainer, pl_module, "test")

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._count_evaluated(trainer, pl_module, "test", args[1])

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(trainer, pl_module, "predict")

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._count_evaluated(trainer, pl_module, "predict", args[1])


def measure_flops(
    model: nn.Module, forward_fn: Callable[[], Tensor], loss_fn: Callable[[Tensor], Tensor] | None = None
) -> int:
    """FLOPs of `forward_fn()`, and with `loss_fn` of the loss and the backward pass too; `model` may be on `meta`."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        output = forward_fn()
        if loss_fn is not None:
            loss_fn(output).backward()
    return counter.get_total_flops()


def _computing_dtype(trainer: Trainer, pl_module: LightningModule) -> torch.dtype:
    """In which type products are computed: the precision's, else the weights'."""
    if "16" in str(trainer.precision):
        return torch.bfloat16 if "bf16" in str(trainer.precision) else torch.float16
    return next((p.dtype for p in pl_module.parameters()), torch.float32)
