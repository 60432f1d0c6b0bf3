"""The fit loop: epochs of batches, with validation, schedulers and logs at their moments."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.checkpoint.metrics import metric_states
from trainer_core.data.combined import CombinedLoader
from trainer_core.data.loaders import Source, set_epoch
from trainer_core.data.prefetch import Fetcher
from trainer_core.errors import SIGTERMException
from trainer_core.loops.clock import StepClock
from trainer_core.loops.epoch import EpochPlan
from trainer_core.loops.epoch_end import end_epoch
from trainer_core.loops.evaluate import EvaluationLoop
from trainer_core.loops.hooks import HookTable
from trainer_core.loops.progress import Progress, StepCount
from trainer_core.loops.reading import TrainingData
from trainer_core.loops.resume import ResumePoint
from trainer_core.loops.schedule import ValidationSchedule, step_schedulers
from trainer_core.loops.step import outputs_of
from trainer_core.rank import OnceEach, rank_zero_info
from trainer_core.results import Results
from trainer_core.states import RunningStage, TrainerFn

if TYPE_CHECKING:
    from trainer_core.callbacks.memory import FitToMemory
    from trainer_core.callbacks.nonfinite import NonFiniteGuard
    from trainer_core.trainer import Trainer


class FitLoop(TrainingData):
    """Trains until a limit is reached or a stop is asked for.

    Its position is `epoch_progress`, `batch_progress` and `steps`; `checkpoint.state` saves and restores it.
    """

    def __init__(
        self, trainer: Trainer, max_epochs: int, min_epochs: int | None, max_steps: int, min_steps: int | None
    ) -> None:
        self.trainer = trainer
        self.max_epochs, self.min_epochs, self.max_steps, self.min_steps = max_epochs, min_epochs, max_steps, min_steps
        self.source = Source("train_dataloader")
        self.epoch_progress, self.batch_progress = Progress(), Progress()
        self.steps = StepCount()
        self.scheduler_steps = 0
        self.batches_that_stepped = 0
        self.results = Results(training=True)
        self.val_loop = EvaluationLoop(trainer, TrainerFn.FITTING, RunningStage.VALIDATING)
        self.schedule = ValidationSchedule(trainer)
        self.loader: CombinedLoader | None = None
        self.fetcher: Fetcher | None = None
        self.max_batches: float = 0
        self.resume = ResumePoint()
        self.clock = StepClock()
        #: What holds back updates that are not finite; a NonFiniteGuard puts itself here.
        self.guard: NonFiniteGuard | None = None
        #: What cuts batches that do not fit; a FitToMemory puts itself here.
        self.memory: FitToMemory | None = None
        #: With `accumulate_by`: the weight of the window under way, and what weights are measured in.
        self.window_weight: Any = None
        self.weight_unit: float | None = None
        #: While True, batches only pass forward; each epoch then counts as one step.
        self.skip_backward = False
        #: Whether nothing but `on_train_end` is left, or not even that; checkpoints say so.
        self.ended = False
        self._is_open = False
        self._loaded_at_epoch = -1
        self._warn_once = OnceEach()

    # Names under which other code knows the parts of this loop.

    @property
    def epoch_loop(self) -> FitLoop:
        return self

    @property
    def _batches_that_stepped(self) -> int:
        return self.batches_that_stepped

    @property
    def data_places(self) -> tuple[int, list[Any]] | None:
        """(batches of the open epoch, where data that keeps its own place stands after them); None when none does."""
        epochs, number = self.epoch_progress.current, self.batch_progress.current.processed
        if self.fetcher is None or epochs.ready == epochs.processed or not number:
            return None
        places = self.fetcher.places_at(number)
        return None if places is None else (number, places)

    @property
    def restarting(self) -> bool:
        return self.resume.active

    @property
    def global_step(self) -> int:
        return self.steps.total

    @property
    def batch_idx(self) -> int:
        """Index of the batch in this epoch."""
        return self.batch_progress.current.ready - 1

    @property
    def total_batch_idx(self) -> int:
        return self.batch_progress.total.ready - 1

    @property
    def accumulates(self) -> bool:
        """Whether the present batch only adds to the gradients."""
        every = self.trainer.accumulate_grad_batches
        progress = self.batch_progress
        return not (progress.current.ready % every == 0 or self.epoch_is_read)

    @property
    def limits(self) -> list[int | None]:
        return [self.max_epochs, self.min_epochs, self.max_steps, self.min_steps]

    @property
    def epoch_is_read(self) -> bool:
        """Whether the present batch is the epoch's last."""
        return self.batch_progress.current.ready >= self.max_batches or self.batch_progress.is_last_batch

    @property
    def can_stop_early(self) -> bool:
        """Whether the minimum of epochs and steps has been met."""
        epochs = not self.min_epochs or self.epoch_progress.current.processed >= self.min_epochs
        return epochs and (not self.min_steps or self.steps.total >= self.min_steps)

    # The run.

    def run(self) -> None:
        """Train; the trainer has set everything up and restored any checkpoint."""
        torch.set_grad_enabled(True)
        self.clock.start(self.trainer.strategy.root_device)
        asked_before_restore = self.loader is not None
        with self.clock.taking("data"):
            self.setup_data()
        if asked_before_restore and self.resume.active:
            self._open_again()
        trainer, self.ended = self.trainer, False
        if trainer.limit_train_batches == 0 or self._has_no_more():
            self.ended = self.max_batches != 0
            self.resume.back_to_now()
            return
        self._settle_epochs()
        if self.schedule.epoch_is_due():
            self.val_loop.setup_data()
        trainer.hooks.call("on_train_start")
        if not self.resume.active:
            self.resume.back_to_now()
        while self.resume.active or not self._done():
            self._begin_epoch()
            self._train_epoch()
            end_epoch(self)
        self.ended, self.resume.owes_end = True, False
        trainer.hooks.call("on_train_end")

    def _has_no_more(self) -> bool:
        """Whether nothing at all is to be done, not even the end of an epoch or of training that a checkpoint preceded."""
        if not self._done():
            return False
        return not self.resume.owes_end or not self.max_batches

    def _done(self) -> bool:
        trainer = self.trainer
        if self.max_batches == 0:
            rank_zero_info("`Trainer.fit` stopped: No training batches.")
            return True
        if self.max_steps != -1 and self.steps.total >= self.max_steps:
            self._say_stopped(f"max_steps={self.max_steps}")
            return True
        current = self.epoch_progress.current
        if self.max_epochs != -1 and current.processed >= self.max_epochs:
            current.completed = current.processed
            self._say_stopped(f"max_epochs={self.max_epochs}")
            return True
        return trainer.should_stop and self.can_stop_early

    def _say_stopped(self, limit: str) -> None:
        rank_zero_info(f"`Trainer.fit` stopped: `{limit}` reached.")

    def _settle_epochs(self) -> None:
        """After a restore: decide whether an epoch is to be continued or a new one begins."""
        epochs = self.epoch_progress.current
        if epochs.ready == epochs.processed or not self.resume.active:
            self.epoch_progress.total.settle(self.epoch_progress.total.processed)
            epochs.settle(epochs.processed)
            self.resume.active = False
            if self.resume.plateau_is_due:
                self._step_plateau_of_finished_epoch()

    def _step_plateau_of_finished_epoch(self) -> None:
        """A checkpoint written at the end of an epoch comes before that epoch's plateau schedulers."""
        self.resume.plateau_is_due = False
        self.epoch_progress.current.completed -= 1
        step_schedulers(self.trainer, "epoch", plateau=True)
        self.epoch_progress.current.completed += 1

    def _begin_epoch(self) -> None:
        trainer = self.trainer
        with self.clock.taking("data"):
            self.setup_data()
        assert self.loader is not None
        for one in self.loader.flattened:
            set_epoch(one, self.epoch_progress.current.processed)
        trainer.hooks = HookTable(trainer)
        if self._resumes_inside_epoch():
            return
        self.epoch_progress.increment("ready")
        trainer.hooks.call("on_train_epoch_start")
        self.epoch_progress.increment("started")

    def _train_epoch(self) -> None:
        """All batches of one epoch, or the rest of one."""
        assert self.fetcher is not None
        resumed, self.resume.active = self.resume.active, False
        if resumed:
            self._is_open = False
            self._continue_epoch()
            if self._stops():
                return
        else:
            self.batch_progress.current.reset()
            self.batch_progress.is_last_batch = False
            self.steps.current = 0
            self.val_loop.batch_progress.total.reset()
            if not self._is_open:
                with self.clock.taking("data"):
                    self._start_reading()
        self._is_open = False
        with self.trainer.profiler.profile("run_training_epoch"):
            self._train_batches()

    def _continue_epoch(self) -> None:
        """Go back to the middle of an epoch: counters, random state, and what the last batch still owes."""
        progress = self.batch_progress
        progress.current.settle(progress.current.processed)
        progress.total.settle(progress.total.processed)
        self.resume.back_to_now()
        # Of data without a length only the file knows.
        known = self.max_batches != float("inf")
        progress.is_last_batch = progress.current.ready >= self.max_batches if known else progress.is_last_batch
        if not self.resume.batch_settled and progress.current.ready:
            validated = self.resume.validated_at == progress.total.ready
            due = self.schedule.epoch_is_due() and self.schedule.is_due(self) and not validated
            self._settle_batch(validate=due)

    def _train_batches(self) -> None:
        """The hot loop: no host sync, no strings, no calls for what nobody uses."""
        progress, results, resume = self.batch_progress, self.results, self.resume
        total, current, fetcher = progress.total, progress.current, self.fetcher
        assert fetcher is not None
        plan = EpochPlan(self)
        step, has_start = plan.step, plan.has_batch_start
        seed_step = self.trainer.randomness.step_seeder(self.trainer.global_rank, self.trainer.strategy.root_device)
        clock, now = self.clock, perf_counter
        clock.last = now()
        for batch in plan.batches(fetcher):
            begun = now()
            clock.data += begun - clock.last
            progress.is_last_batch = fetcher.done
            total.ready += 1
            current.ready += 1
            results.batch, results.batch_size, results.on_step = batch, None, True
            resume.batch_settled = False
            if seed_step is not None:
                seed_step(total.ready)
            loss = extra = None
            if batch is None:
                self._warn_once.warn("train_dataloader yielded None. If this was on purpose, ignore this warning...")
            else:
                if has_start and self._skips_epoch(batch, current.ready - 1):
                    return
                total.started += 1
                current.started += 1
                if has_start:
                    begun = now()
                loss, extra = step(batch, current.ready - 1)
                clock.compute += now() - begun
            total.processed += 1
            current.processed += 1
            ends = self._finish_batch(plan, batch, loss, extra)
            clock.last = now()
            if ends:
                return
        # Data that ends before its stated length has had its last batch as well, if it had any.
        progress.is_last_batch = current.ready > 0

    def _finish_batch(self, plan: EpochPlan, batch: Any, loss: Any, extra: dict[str, Any] | None) -> bool:
        """Schedulers, hooks, logs and validation after a batch; True when the epoch ends here."""
        trainer, progress = self.trainer, self.batch_progress
        current = progress.current
        every = trainer.accumulate_grad_batches
        is_last = progress.is_last_batch or current.ready >= self.max_batches
        stepped = every == 1 or is_last or current.ready % every == 0
        if stepped and plan.schedulers_by_step:
            step_schedulers(trainer, "step", plateau=False)
        if is_last:
            step_schedulers(trainer, "epoch", plateau=False)
        if plan.has_batch_end:
            self._call_batch_end(plan, batch, loss, extra)
        progress.total.completed += 1
        current.completed += 1
        self.results.batch = None
        logs_every = trainer.log_every_n_steps
        if (
            logs_every
            and stepped
            and ((self.batches_that_stepped + 1) % logs_every == 0 or trainer.should_stop or trainer.fast_dev_run)
        ):
            trainer.recorder.write(trainer.recorder.absorb(self.results, on_step=True))
        if self.guard is not None:
            self.guard.after_batch(trainer)
        validates = plan.validates and self.schedule.is_due(self)
        if validates or plan.plateau_by_step:
            self._settle_batch(validate=validates)
        else:
            self.resume.batch_settled = True
            if stepped:
                self.batches_that_stepped += 1
        if (plan.agrees and trainer.strategy.agree(trainer)) or trainer.received_sigterm:
            raise SIGTERMException("SIGTERM was received; training stopped after the batch under way.")
        return self.steps.total >= self.max_steps != -1 or (trainer.should_stop and self._stops())

    def _call_batch_end(self, plan: EpochPlan, batch: Any, loss: Any, extra: dict[str, Any] | None) -> None:
        outputs = outputs_of(loss, extra)
        trainer, results, module, batch_idx = (
            self.trainer,
            self.results,
            plan.module,
            self.batch_progress.current.ready - 1,
        )
        if plan.batch_end_table is None:
            results.enter("on_train_batch_end")
            plan.batch_end_table = results.current
        results.fx, results.current = "on_train_batch_end", plan.batch_end_table
        for hook in plan.batch_end:
            hook(trainer, module, outputs, batch, batch_idx)
        if plan.own_batch_end is not None:
            plan.own_batch_end(outputs, batch, batch_idx)

    def _skips_epoch(self, batch: Any, batch_idx: int) -> bool:
        hooks = self.trainer.hooks
        hooks.call_callbacks("on_train_batch_start", batch, batch_idx)
        if hooks.call_own("on_train_batch_start", batch, batch_idx) != -1:
            return False
        # The rest counts as read: schedulers step as at the end of any epoch.
        self.batch_progress.is_last_batch = True
        self.batch_progress.increment("processed")
        step_schedulers(self.trainer, "step", plateau=False)
        step_schedulers(self.trainer, "epoch", plateau=False)
        self.resume.batch_settled = True
        return True

    def _settle_batch(self, *, validate: bool) -> None:
        """What follows a batch: validation, plateau schedulers that step by steps, the logging counter."""
        trainer = self.trainer
        if validate:
            self._validate()
        if not self.accumulates:
            step_schedulers(trainer, "step", plateau=True)
            self.batches_that_stepped += 1
        self.resume.batch_settled = True

    def _validate(self) -> None:
        trainer = self.trainer
        trainer.recorder.absorb(self.results, on_step=True)
        metrics = metric_states(trainer.lightning_module)
        self.resume.mark_validation(self.val_loop.seen, trainer.strategy.shares_buffers, metrics)
        trainer.state.stage = RunningStage.VALIDATING
        if not self.accumulates:
            trainer.hooks.call_module("on_validation_model_zero_grad")
        with self.clock.taking("validation"):
            self.val_loop.run()
        trainer.state.stage = RunningStage.TRAINING
        trainer.use_results(self.results)

    def _stops(self) -> bool:
        """Whether the epoch ends here, for a limit or a request."""
        if self.epoch_is_read or (self.max_steps != -1 and self.steps.total >= self.max_steps):
            return True
        if not self.trainer.should_stop:
            return False
        if not self.can_stop_early:
            self._warn_once.info(
                f"Trainer was signaled to stop but the required `min_epochs={self.min_epochs!r}` or "
                f"`min_steps={self.min_steps!r}` has not been met. Training will continue..."
            )
        return self.can_stop_early

    def teardown(self) -> None:
        self.clock.stop()
        if self.fetcher is not None:
            self.fetcher.stop()
        self.fetcher = self.loader = None
        self._is_open = False
        self.val_loop.teardown()
