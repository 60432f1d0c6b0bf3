"""Tuner: finds a learning rate or a batch size before a run, and changes nothing but the attribute that holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from trainer_core.callbacks.batch_size_finder import BatchSizeFinder
from trainer_core.callbacks.lr_finder import LearningRateFinder
from trainer_core.datamodule import LightningDataModule
from trainer_core.errors import MisconfigurationException
from trainer_core.loggers.base import DummyLogger
from trainer_core.loops import run as course
from trainer_core.loops.checks import check_fit, check_loop
from trainer_core.module import LightningModule
from trainer_core.profilers.base import PassThroughProfiler
from trainer_core.rank import rank_zero_warn
from trainer_core.seed import isolate_rng
from trainer_core.states import RunningStage, TrainerFn
from trainer_core.tuner.attributes import write_attribute
from trainer_core.tuner.batch_size import LOOPS, find_batch_size
from trainer_core.tuner.lr_find import LearningRateRange, Mode, find_lr, lr_attribute

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

Method = Literal["fit", "validate", "test", "predict"]
_STAGES = {
    TrainerFn.FITTING: RunningStage.TRAINING,
    TrainerFn.VALIDATING: RunningStage.VALIDATING,
    TrainerFn.TESTING: RunningStage.TESTING,
    TrainerFn.PREDICTING: RunningStage.PREDICTING,
}


class Tuner:
    """Runs trials with a trainer's settings, without its callbacks and loggers.

    Afterwards weights, random states, counters, callbacks, loggers and files are as they were, also after an error.
    The hooks that prepare data (`prepare_data`, `setup`, loaders) are called as before a run, and `teardown` after it.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def lr_find(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        method: Method = "fit",
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training: int = 100,
        mode: Mode = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> LearningRateRange | None:
        """Train one step per learning rate from `min_lr` to `max_lr`; the returned object suggests and plots.

        `update_attr` sets the suggestion as `attr_name` (or `lr`, `learning_rate`), wherever module, datamodule or
        their hparams have it. None, with a warning, under `fast_dev_run`.
        """
        if method != "fit":
            raise MisconfigurationException(f"method: got {method!r}, allowed for lr_find is 'fit'.")
        _check_loaders(train_dataloaders, val_dataloaders, dataloaders, method)
        _refuse(self._trainer, LearningRateFinder)
        # The callback checks the options and brings them to their form.
        options = LearningRateFinder(min_lr, max_lr, num_training, mode, early_stop_threshold, update_attr, attr_name)

        def find() -> tuple[LearningRateRange, float | None]:
            name = lr_attribute(model, attr_name) if update_attr else ""
            found = find_lr(
                self._trainer,
                min_lr=min_lr,
                max_lr=max_lr,
                num_training=num_training,
                mode=options._mode,
                early_stop_threshold=early_stop_threshold,
            )
            lr = found.suggestion() if update_attr else None
            if lr is not None:
                write_attribute(model, name, lr)
            return found, lr

        if self._is_dry("learning-rate finder"):
            return None
        loaders = (train_dataloaders, val_dataloaders)
        found, lr = self._visit(TrainerFn.FITTING, model, loaders, datamodule, find)
        if lr is not None and self._trainer.strategy.launches:
            # The attribute was set in another process.
            write_attribute(model, lr_attribute(model, attr_name), lr)
        return found  # type: ignore[no-any-return]

    def scale_batch_size(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        method: Method = "fit",
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> int | None:
        """The largest batch size whose steps fit into memory, at most `max_val` and the number of samples.

        Set as `batch_arg_name`, wherever module, datamodule or their hparams have it; their loaders must use it.
        None, with a warning, under `fast_dev_run`; MemoryError when no size fits.
        """
        _check_loaders(train_dataloaders, val_dataloaders, dataloaders, method)
        _refuse(self._trainer, BatchSizeFinder)
        options = BatchSizeFinder(mode, steps_per_trial, init_val, max_trials, batch_arg_name, margin, max_val)
        if self._is_dry("batch size finder"):
            return None
        fn = TrainerFn(method)
        loaders = (train_dataloaders, val_dataloaders) if fn is TrainerFn.FITTING else (dataloaders, None)

        def find() -> int:
            return find_batch_size(
                self._trainer,
                model,
                mode=options._mode,
                batch_arg_name=batch_arg_name,
                margin=margin,
                max_val=max_val,
                **options._counts,
            )

        size: int = self._visit(fn, model, loaders, datamodule, find)
        return size

    def _is_dry(self, what: str) -> bool:
        if self._trainer.fast_dev_run:
            rank_zero_warn(f"The {what} is skipped, since `fast_dev_run` is enabled.")
        return bool(self._trainer.fast_dev_run)

    def _visit(
        self, fn: TrainerFn, model: LightningModule, loaders: Any, datamodule: Any, function: Callable[[], Any]
    ) -> Any:
        trainer = self._trainer
        if isinstance(loaders[0], LightningDataModule):
            loaders, datamodule = (None, None), loaders[0]
        if datamodule is not None and loaders != (None, None):
            raise MisconfigurationException("datamodule: got one and loaders as well, allowed is one of them.")
        loop: Any = trainer.fit_loop if fn is TrainerFn.FITTING else getattr(trainer, LOOPS[fn])
        with _attached(trainer, model, datamodule, fn):
            trainer._set_source(loop.source, loaders[0])
            if fn is TrainerFn.FITTING:
                trainer._set_source(loop.val_loop.source, loaders[1])
                check_fit(trainer)
            else:
                check_loop(model, fn, loop.source.is_defined)
            with course.signals_noticed(trainer):
                return trainer.strategy.launch(lambda: course.visit(trainer, model, function))


@contextmanager
def _attached(trainer: Trainer, model: Any, datamodule: Any, fn: TrainerFn) -> Iterator[None]:
    """The trainer works with `model` in silence; afterwards it, the module and the datamodule know nothing of it."""
    loops: list[Any] = [trainer.fit_loop, trainer.fit_loop.val_loop, *(getattr(trainer, n) for n in LOOPS.values())]
    owners: list[Any] = [trainer, trainer.state, trainer.strategy, *loops, *(loop.source for loop in loops)]
    owners.append(getattr(trainer, "randomness", None))
    kept = [(owner, dict(vars(owner))) for owner in owners if owner is not None]
    before = getattr(model, "_trainer", None), getattr(datamodule, "trainer", None)
    knew_children = "_lightning_children" in vars(model)
    with ExitStack() as stack:
        stack.enter_context(isolate_rng())
        try:
            trainer._begin(fn, _STAGES[fn], model)
            trainer.callbacks, trainer.loggers = [], [DummyLogger() for _ in trainer.loggers]
            trainer.profiler, trainer.should_stop = PassThroughProfiler(), False
            for loop in loops:
                loop.loader = None
            trainer._attach(model, datamodule)
            stack.enter_context(_types_kept(trainer, model))
            yield
        finally:
            stack.close()
            for owner, values in kept:
                vars(owner).clear()
                vars(owner).update(values)
            model.trainer = before[0]
            model._attach_results(None)
            if not knew_children:
                model.__dict__.pop("_lightning_children", None)
            if datamodule is not None:
                datamodule.trainer = before[1]


@contextmanager
def _types_kept(trainer: Trainer, model: LightningModule) -> Iterator[None]:
    """A precision that casts the module loses bits of its weights: they come back from a copy."""
    if str(trainer.precision) in ("32-true", "16-mixed", "bf16-mixed"):
        yield
        return
    weights = [(p, p.detach().clone()) for p in model.parameters()]
    buffers = [(m, name, b, b.detach().clone()) for m in model.modules() for name, b in m.named_buffers(recurse=False)]
    types = [(m, m._dtype) for m in model.modules() if isinstance(m, LightningModule)]
    try:
        yield
    finally:
        for parameter, copied in weights:
            parameter.data = copied.to(parameter.device)
        for owner, name, buffer, copied in buffers:
            owner._buffers[name] = buffer
            buffer.data = copied
        for owner, dtype in types:
            owner._dtype = dtype


def _check_loaders(train: Any, val: Any, other: Any, method: str) -> None:
    if method not in [fn.value for fn in TrainerFn]:
        raise ValueError(f"method: got {method!r}, allowed is one of {', '.join(fn.value for fn in TrainerFn)}.")
    if method == "fit" and other is not None:
        raise MisconfigurationException(
            "dataloaders: got some with method='fit', allowed are train_dataloaders and val_dataloaders."
        )
    if method != "fit" and (train is not None or val is not None):
        raise MisconfigurationException(
            f"train_dataloaders, val_dataloaders: got some with method={method!r}, allowed is dataloaders."
        )


def _refuse(trainer: Trainer, kind: type) -> None:
    if any(isinstance(c, kind) for c in trainer.callbacks):
        raise ValueError(f"The trainer has a {kind.__name__} callback already; remove it to use the Tuner.")
