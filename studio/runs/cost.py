"""What a run will take, from a check of its beginning: time, memory, disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from studio.runs.checkpoints import KEEP_LAST
from trainer_core.options import RUN_EXTRAS, Duration, parse_duration

END_S = 0.7  # results, the last checkpoint, and the worker's own bookkeeping
POINT_BYTES, LOG_BYTES = 10, 50_000
UNLIMITED_EPOCHS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """`duration_s` is None for a run without an end; `at_most` when it may stop earlier."""

    duration_s: float | None
    at_most: bool
    epochs: float | None
    steps: int | None
    memory_bytes: int
    gpu_bytes: int | None
    disk_bytes: int | None


def estimate(spec: dict[str, Any], found: dict[str, Any]) -> Estimate:
    """`spec` as a run has it, `found` as the check told it."""
    trainer, extras = spec.get("trainer", {}), spec.get("extras", {})
    if extras.get("stage", "fit") != "fit":  # it passes over the data once, and keeps nothing
        seconds: float | None = found["ready_s"] + found["validation_s"] + END_S
        return Estimate(
            seconds, False, None, None, int(found["memory_bytes"]), found.get("gpu_bytes"), disk_bytes=LOG_BYTES
        )
    batches = found.get("batches")
    every = int(trainer.get("accumulate_grad_batches", 1))
    epochs = _epochs(trainer, found, batches, every)
    steps = None if epochs is None or not batches else math.ceil(batches / every * epochs)
    saves = _saves(extras, epochs, steps, batches, every)
    seconds = None if epochs is None or not batches else _seconds(trainer, found, epochs, batches, saves)
    limit = trainer.get("max_time")
    if limit is not None:
        limit_s = parse_duration(limit).value + found["ready_s"] + END_S
        seconds = limit_s if seconds is None else min(seconds, limit_s)
    kept = 1 if saves is None else min(saves, KEEP_LAST + 1)
    points = (steps or 0) * max(1, len(found["metrics"])) * POINT_BYTES
    return Estimate(
        duration_s=seconds,
        at_most=extras.get("early_stopping_patience") is not None,
        epochs=epochs,
        steps=steps,
        memory_bytes=int(found["memory_bytes"]),
        gpu_bytes=found.get("gpu_bytes"),
        disk_bytes=int(found["checkpoint_bytes"] * kept + points + LOG_BYTES),
    )


def _epochs(trainer: dict[str, Any], found: dict[str, Any], batches: int | None, every: int) -> float | None:
    """How many are left; None when the run has no end but a time."""
    ends: list[float] = []
    max_epochs, max_steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    if max_epochs is None and max_steps == -1 and trainer.get("max_time") is None:
        max_epochs = UNLIMITED_EPOCHS
    if max_epochs is not None and max_epochs >= 0:
        ends.append(max(0.0, max_epochs - found.get("begins_at_epoch", 0)))
    if max_steps >= 0 and batches:
        ends.append(max(0.0, (max_steps - found.get("begins_at_step", 0)) * every / batches))
    return min(ends) if ends else None


def _seconds(trainer: dict[str, Any], found: dict[str, Any], epochs: float, batches: int, saves: int | None) -> float:
    validations = _validations(trainer, found, epochs, batches)
    if found.get("epoch_s"):
        training = epochs * found["epoch_s"]
    else:
        training = epochs * batches * (found["step_s"] or 0.0) + (saves or 0) * found["save_s"]
    return found["ready_s"] + training + (validations + 1) * found["validation_s"] + END_S


def _validations(trainer: dict[str, Any], found: dict[str, Any], epochs: float, batches: int) -> float:
    every = found.get("every_batches") or batches
    every_epochs = trainer.get("check_val_every_n_epoch", 1)
    if every > batches or every_epochs is None:
        return epochs * batches / every
    return math.floor(epochs / every_epochs) * (batches // every)


def _saves(
    extras: dict[str, Any], epochs: float | None, steps: int | None, batches: int | None, every: int
) -> int | None:
    interval = parse_duration(extras.get("checkpoint_every") or RUN_EXTRAS["checkpoint_every"].default)
    per_run = times(interval, epochs=epochs, steps=steps, batches=batches)
    return None if per_run is None else max(1, math.ceil(per_run))


def times(interval: Duration, *, epochs: float | None, steps: int | None, batches: int | None) -> float | None:
    """How often an interval fits into the run; None where that cannot be told before."""
    if interval.unit == "%":
        return 100 / interval.value
    if interval.unit == "ep" and epochs is not None:
        return epochs / interval.value
    if interval.unit == "st" and steps is not None:
        return steps / interval.value
    if interval.unit == "ba" and epochs is not None and batches:
        return epochs * batches / interval.value
    return None
