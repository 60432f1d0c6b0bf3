"""Whether values are written at this batch: the question that all callbacks that log by themselves ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


def writes_now(trainer: Trainer) -> bool:
    """True where the step logs of the training batch under way are written."""
    every = trainer.log_every_n_steps
    if every == 0:
        return False
    return (trainer.fit_loop.batches_that_stepped + 1) % every == 0 or trainer.should_stop or bool(trainer.fast_dev_run)
