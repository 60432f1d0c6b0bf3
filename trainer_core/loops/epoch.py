"""EpochPlan: all that is the same for every batch of an epoch, looked up once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trainer_core.data.prefetch import Fetcher, make_place
from trainer_core.loops.step import Plan, make_plan

if TYPE_CHECKING:
    from trainer_core.loops.fit import FitLoop
    from trainer_core.profilers.base import Profiler


class EpochPlan:
    """Which hooks there are, whether schedulers go by steps, how a batch travels and is trained on."""

    __slots__ = (
        "agrees", "automatic", "batch_end", "batch_end_table", "has_batch_end", "has_batch_start", "module", "own_batch_end",
        "place", "plateau_by_step", "profiler", "schedulers_by_step", "step", "validates",
    )  # fmt: skip

    def __init__(self, loop: FitLoop) -> None:
        trainer = loop.trainer
        hooks = trainer.hooks
        #: Whether several processes must agree after each batch on whether to stop.
        self.agrees: bool = trainer.world_size > 1
        self.module = trainer.lightning_module
        self.automatic: bool = self.module.automatic_optimization
        self.has_batch_start = hooks.any("on_train_batch_start")
        self.has_batch_end = hooks.any("on_train_batch_end")
        self.batch_end, self.own_batch_end = hooks.callbacks("on_train_batch_end"), hooks.own("on_train_batch_end")
        #: Where `log` keeps what is logged in that hook; made by its first call, as the order of tables is that of hooks.
        self.batch_end_table: Any = None
        by_step = [c for c in trainer.lr_scheduler_configs if c.interval == "step"] if self.automatic else []
        self.schedulers_by_step = bool(by_step)
        self.plateau_by_step = any(c.reduce_on_plateau for c in by_step)
        self.validates = loop.schedule.epoch_is_due()
        place = make_place(trainer)
        self.place: Any = None if place is None else loop.clock.placing(lambda batch: place(batch, 0))
        self.step = loop.clock.stepping(make_plan(loop))
        self.profiler: Any = trainer.profiler
        if not self.profiler.is_passthrough:
            self.step = _profiled(self.step, self.profiler)

    def batches(self, fetcher: Fetcher) -> Iterator[Any]:
        """The batches of the epoch, each where the step needs it."""
        batches = fetcher.batches(self.place)
        return batches if self.profiler.is_passthrough else _profiled_batches(batches, self.profiler)


def _profiled(step: Plan, profiler: Profiler) -> Plan:
    def run(batch: Any, batch_idx: int) -> tuple[Any, dict[str, Any] | None]:
        with profiler.profile("run_training_batch"):
            return step(batch, batch_idx)

    return run


def _profiled_batches(batches: Iterator[Any], profiler: Profiler) -> Iterator[Any]:
    missing = object()
    while True:
        with profiler.profile("[_TrainingEpochLoop].train_dataloader_next"):
            batch = next(batches, missing)
        if batch is missing:
            return
        yield batch
