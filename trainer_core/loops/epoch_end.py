"""What follows the last batch of an epoch: its hooks, those that watch a metric last, its values for loggers, its schedulers."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from trainer_core.errors import SIGTERMException
from trainer_core.loops.schedule import step_schedulers

if TYPE_CHECKING:
    from trainer_core.loops.fit import FitLoop
    from trainer_core.results import Record


def end_epoch(loop: FitLoop) -> None:
    """SIGTERMException when the run has been asked to stop meanwhile."""
    trainer, hooks, results = loop.trainer, loop.trainer.hooks, loop.results
    if results.on_step and loop.resume.validated_at != loop.batch_progress.total.ready:
        trainer.recorder.absorb(results, on_step=True)
    results.on_step = False
    results.batch = None
    trainer.recorder.absorb(results, on_step=False)
    loop.epoch_progress.increment("processed")
    hooks.call_callbacks("on_train_epoch_end", monitoring=False)
    hooks.call_own("on_train_epoch_end")
    # Before checkpoints: a run that goes on from one misses no value of the epoch, whenever this one breaks off.
    written = _write_values(loop, {})
    hooks.call_callbacks("on_train_epoch_end", monitoring=True)
    trainer.recorder.absorb(results, on_step=False)
    if loop.epoch_is_read:
        step_schedulers(trainer, "epoch", plateau=True)
    _write_values(loop, written)
    results.reset()
    loop.clock.last = perf_counter()
    loop.epoch_progress.increment("completed")
    if trainer.strategy.agree(trainer):
        raise SIGTERMException("SIGTERM was received; training stopped at the end of the epoch.")


def _write_values(loop: FitLoop, written: dict[Record, Any]) -> dict[Record, Any]:
    """Send the epoch's values to loggers, but not what was `written` and has not changed since; returns what they have."""
    recorder, batches = loop.trainer.recorder, loop.batches_that_stepped
    log = recorder.absorb(loop.results, on_step=False)
    values = {record: record.epoch for record in loop.results.records() if record.last is not None}
    new = {r.names(False)[1] for r, value in values.items() if r not in written or value is not written[r]}
    # Epoch values belong to the epoch's last step.
    loop.batches_that_stepped = batches - 1
    recorder.write({name: value for name, value in log.items() if name in new})
    loop.batches_that_stepped = batches
    return values
