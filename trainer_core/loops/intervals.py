"""Durations with units turned into optimizer steps of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer_core.durations import Duration
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


def steps_in(trainer: Trainer, duration: Duration, *, total: float | None = None) -> int:
    """Optimizer steps, at least 1, of an amount in epochs, steps, batches, samples or percent of the run.

    To be called when the training data is known. `total` is the length of the run, else it is estimated, which is what
    percent are of. Samples need the data's `batch_size`, and count all processes. MisconfigurationException for a time,
    and where the length that it needs is not known.
    """
    value, unit = duration.value, duration.unit
    batches, accumulated = trainer.num_training_batches, trainer.accumulate_grad_batches
    if unit == "st":
        return int(value)
    if unit == "ba":
        return max(1, math.ceil(value / accumulated))
    if unit == "sp":
        size = batch_size(trainer) * accumulated * trainer.world_size
        return max(1, math.ceil(value / size))
    if unit == "ep" and math.isfinite(batches):
        return max(1, int(math.ceil(batches / accumulated) * value))
    if unit == "%":
        length = trainer.estimated_stepping_batches if total is None else total
        if math.isfinite(length) and length > 0:
            return max(1, int(length * value / 100))
    what = "a time" if unit == "s" else f"{duration} of data or a run without a known length"
    raise MisconfigurationException(
        f"{duration}: {what} cannot be counted in steps. Give steps, such as 500st, or set max_epochs or max_steps."
    )


def batch_size(trainer: Trainer) -> int:
    """Of one training batch of one process: what the loader says, or the datamodule."""
    loader = trainer.fit_loop.loader
    for one in getattr(loader, "flattened", None) or ():
        found = getattr(one, "batch_size", None)
        if isinstance(found, int) and found > 0:
            return found
    found = getattr(trainer.datamodule, "batch_size", None)
    if isinstance(found, int) and found > 0:
        return found
    raise MisconfigurationException("A number of samples cannot be counted in steps: the batch size is not known.")
