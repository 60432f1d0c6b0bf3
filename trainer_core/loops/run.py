"""One call of fit, validate, test or predict, from setup to teardown."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.callback import Callback
from trainer_core.callbacks.checkpoint import Checkpoint
from trainer_core.checkpoint import requeue
from trainer_core.checkpoint import state as checkpoint_state
from trainer_core.errors import SIGTERMException
from trainer_core.loops.hooks import HookTable
from trainer_core.overrides import is_overridden
from trainer_core.rank import log, rank_zero_warn
from trainer_core.seed import isolate_rng
from trainer_core.states import RunningStage, TrainerFn, TrainerStatus

if TYPE_CHECKING:
    from trainer_core.module import LightningModule
    from trainer_core.trainer import Trainer


def call(trainer: Trainer, function: Callable[[], Any]) -> Any:
    """Run `function`; on any failure callbacks, loggers and the strategy are told, and the error goes on.

    Ctrl-C is such a failure: KeyboardInterrupt is raised again for the program to decide.
    """
    trainer.state.status = TrainerStatus.RUNNING
    trainer.processes_go_together = True
    try:
        with signals_noticed(trainer):
            return trainer.strategy.launch(function)
    except BaseException as error:
        _after_failure(trainer, error)
        raise


def _after_failure(trainer: Trainer, error: BaseException) -> None:
    interrupted = isinstance(error, KeyboardInterrupt | SIGTERMException)
    # A stop by SIGTERM is agreed on between two batches.
    trainer.processes_go_together = isinstance(error, SIGTERMException)
    if trainer.received_requeue and isinstance(error, SIGTERMException):
        requeue.save_and_requeue(trainer)
    trainer.state.status = TrainerStatus.INTERRUPTED
    if interrupted:
        log.info("Stopped by %s.", type(error).__name__)
    # What fails while cleaning up must not hide why it is needed.
    module = trainer.lightning_module_or_none
    steps: list[Callable[[], Any]] = []
    if module is not None:
        steps += [_bind(c.on_exception, trainer, module, error) for c in trainer.callbacks]
    if trainer.datamodule is not None:
        steps.append(_bind(trainer.datamodule.on_exception, error))
    steps += [_bind(logger.finalize, "interrupted" if interrupted else "failed") for logger in trainer.loggers]
    steps += [_bind(trainer.profiler.teardown, trainer.state.fn), trainer.teardown_loops, trainer.strategy.teardown]
    for step in steps:
        try:
            step()
        except Exception as late:
            warnings.warn(f"While cleaning up after {type(error).__name__}: {late!r}", RuntimeWarning, stacklevel=2)
    trainer.state.stage = None


def _bind(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    return lambda: function(*args)


@contextmanager
def signals_noticed(trainer: Trainer) -> Iterator[None]:
    """While a run is on, SIGTERM asks for a stop after the batch under way, and the cluster's signal for that and a
    new turn in its queue. Handlers of the program's are kept.
    """

    def stop(signum: int, frame: Any) -> None:
        trainer.received_sigterm = True

    def stop_and_requeue(signum: int, frame: Any) -> None:
        trainer.received_sigterm = trainer.received_requeue = True

    wanted: dict[Any, Any] = {signal.SIGTERM: stop}
    again = requeue.signal_of(trainer)
    if again is not None:
        wanted[again] = stop_and_requeue
    before: dict[Any, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number, handler in wanted.items():
            found = signal.getsignal(number)
            if found in (signal.SIG_DFL, None) or getattr(found, "of_trainer_core", False):
                handler.of_trainer_core = True
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(trainer: Trainer, module: LightningModule, ckpt_path: Any, weights_only: bool | None) -> Any:
    """The common course of all four functions; the stage itself is run in the middle."""
    strategy, fn = trainer.strategy, trainer.state.fn
    assert fn is not None
    _attach_callbacks(trainer, module)
    trainer.hooks = HookTable(trainer)
    trainer.use_results(None)
    trainer.recorder.clear()
    trainer.profiler.trainer = trainer
    with trainer.profiler.profile("prepare_data"):
        _prepare_data(trainer, module)
    strategy.setup_environment()
    trainer.agree_on_log_dir()
    trainer.profiler.setup(stage=fn.value, local_rank=trainer.local_rank, log_dir=trainer.log_dir)
    _setup(trainer, module, fn.value)
    checkpoint = strategy.load_checkpoint(ckpt_path, weights_only) if ckpt_path is not None else None
    if checkpoint is not None:
        checkpoint_state.restore_model(trainer, checkpoint)
        checkpoint_state.restore_callbacks(trainer, checkpoint)
    strategy.setup_model()
    if fn is TrainerFn.FITTING:
        _begin_randomness(trainer)
        strategy.setup_optimizers()
        strategy.optimizers_to_device()
        trainer.hooks = HookTable(trainer)
        trainer.hooks.call("on_fit_start")
    _log_hyperparameters(trainer, module)
    if checkpoint is not None and fn is TrainerFn.FITTING:
        checkpoint_state.restore_training(trainer, checkpoint)
    del checkpoint
    results = _run_stage(trainer, fn)
    trainer.recorder.to_cpu()
    trainer.teardown_loops()
    strategy.teardown()
    if fn is TrainerFn.FITTING:
        trainer.hooks.call("on_fit_end")
    _teardown(trainer, module, fn.value)
    for logger in trainer.loggers:
        logger.finalize("success")
    trainer.profiler.describe()
    trainer.state.status, trainer.state.stage = TrainerStatus.FINISHED, None
    module._attach_results(None)
    return results


def visit(trainer: Trainer, module: LightningModule, function: Callable[[], Any]) -> Any:
    """Set everything up as for a run, call `function` in the place of the loops, and tear down; also after an error.

    For tuners: `trainer.callbacks` and loggers are to be silent ones.
    """
    strategy, fn = trainer.strategy, trainer.state.fn
    assert fn is not None
    trainer.hooks = HookTable(trainer)
    trainer.use_results(None)
    _prepare_data(trainer, module)
    strategy.setup_environment()
    trainer.agree_on_log_dir()
    _setup(trainer, module, fn.value)
    try:
        strategy.setup_model()
        if fn is TrainerFn.FITTING:
            _begin_randomness(trainer)
            strategy.setup_optimizers()
            strategy.optimizers_to_device()
            trainer.hooks = HookTable(trainer)
        return function()
    finally:
        trainer.teardown_loops()
        strategy.teardown()
        _teardown(trainer, module, fn.value)


def _begin_randomness(trainer: Trainer) -> None:
    """All processes take the seed of the first."""
    trainer.randomness.begin()
    trainer.randomness.seed = trainer.strategy.broadcast(trainer.randomness.seed)


def _attach_callbacks(trainer: Trainer, module: LightningModule) -> None:
    """The module's own callbacks replace the trainer's of the same (or a parent) class."""
    own = module.configure_callbacks()
    own = [own] if isinstance(own, Callback) else list(own or [])
    if own:
        kinds = {type(c) for c in own}
        replaced = [c for c in trainer.callbacks if any(issubclass(kind, type(c)) for kind in kinds)]
        if replaced:
            log.info("The module's callbacks replace: %s", ", ".join(type(c).__name__ for c in replaced))
        rest = [c for c in trainer.callbacks if c not in replaced]
        trainer.callbacks = reorder(rest + own)
    checkpoint_state.check_state_keys(trainer.callbacks)
    for callback in trainer.callbacks:
        callback.log = module.log  # type: ignore[attr-defined]
        callback.log_dict = module.log_dict  # type: ignore[attr-defined]


def reorder(callbacks: list[Callback]) -> list[Callback]:
    """Those that tune before training first, those that save checkpoints last."""
    tuners = [c for c in callbacks if getattr(c, "runs_first", False)]
    savers = [c for c in callbacks if isinstance(c, Checkpoint)]
    return [*tuners, *(c for c in callbacks if c not in tuners and c not in savers), *savers]


def _prepare_data(trainer: Trainer, module: LightningModule) -> None:
    """Once per node (or once in all), before anybody reads the data."""
    for owner in (trainer.datamodule, module):
        if owner is None or not is_overridden("prepare_data", owner, _data_hooks()):
            continue
        mine = trainer.local_rank == 0 if owner.prepare_data_per_node else trainer.global_rank == 0
        if mine:
            owner.prepare_data()
        trainer.strategy.barrier("prepare_data")


def _data_hooks() -> type:
    from trainer_core.hooks import DataHooks

    return DataHooks


def _setup(trainer: Trainer, module: LightningModule, stage: str) -> None:
    trainer.strategy.barrier("pre_setup")
    if trainer.datamodule is not None:
        trainer.datamodule.setup(stage)
    for callback in trainer.callbacks:
        callback.setup(trainer, module, stage)
    module.setup(stage)
    trainer.strategy.barrier("post_setup")
    with trainer.strategy.precision_plugin.init_context(), trainer.strategy.root_device:
        module.configure_model()
    module._find_children()


def _teardown(trainer: Trainer, module: LightningModule, stage: str) -> None:
    if trainer.datamodule is not None:
        trainer.datamodule.teardown(stage)
    for callback in trainer.callbacks:
        callback.teardown(trainer, module, stage)
    module.teardown(stage)
    trainer.profiler.teardown(stage=stage)


def _log_hyperparameters(trainer: Trainer, module: LightningModule) -> None:
    """The initial hyper-parameters of module and datamodule, to every logger; RuntimeError when they disagree."""
    if not trainer.loggers:
        return
    values: dict[str, Any] | None = None
    datamodule = trainer.datamodule
    owners = [o for o in (datamodule, module) if o is not None and o._log_hyperparams]
    if len(owners) == 2:
        first, second = (o.hparams_initial for o in owners)
        clashing = sorted(k for k in first.keys() & second.keys() if not _same(first[k], second[k]))
        if clashing:
            raise RuntimeError(
                "Error while merging hparams: the keys "
                f"{clashing} are present in both the LightningModule's and LightningDataModule's hparams but have "
                "different values."
            )
    for owner in owners:
        values = {**(values or {}), **owner.hparams_initial}
    for logger in trainer.loggers:
        if values is not None and trainer.enable_autolog_hparams:
            logger.log_hyperparams(values)
        logger.log_graph(module)
        logger.save()


def _same(first: Any, second: Any) -> bool:
    try:
        return first is second or bool(first == second)
    except (ValueError, RuntimeError):
        return False


def _run_stage(trainer: Trainer, fn: TrainerFn) -> Any:
    trainer.strategy.barrier("run-stage")
    if fn is TrainerFn.FITTING:
        with isolate_rng():
            _sanity_check(trainer)
        trainer.state.stage = RunningStage.TRAINING
        trainer.use_results(trainer.fit_loop.results)
        trainer.hooks = HookTable(trainer)
        with torch.autograd.set_detect_anomaly(trainer.detect_anomaly):
            trainer.fit_loop.run()
        return None
    loop: Any = {
        TrainerFn.VALIDATING: trainer.validate_loop,
        TrainerFn.TESTING: trainer.test_loop,
        TrainerFn.PREDICTING: trainer.predict_loop,
    }[fn]
    return loop.run()


def _sanity_check(trainer: Trainer) -> None:
    """A few validation batches before training; nothing of it is kept. Not done when a run is resumed."""
    loop = trainer.fit_loop.val_loop
    if not trainer.enable_validation or trainer.num_sanity_val_steps == 0 or trainer.fit_loop.restarting:
        return
    trainer.state.stage = RunningStage.SANITY_CHECKING
    trainer.recorder.clear()
    trainer.hooks.call("on_sanity_check_start")
    loop.run()
    trainer.hooks.call("on_sanity_check_end")
    trainer.recorder.clear()
    loop.results.reset()
    loop.batch_progress.total.reset()
    loop.batch_progress.current.reset()
    loop.batch_progress.is_last_batch = False
    if trainer.strategy.agree(trainer):
        raise SIGTERMException("SIGTERM was received during the sanity check.")


def warn_about_modes(module: torch.nn.Module) -> None:
    """Modules that are in evaluation mode stay so; a person who forgot that should know."""
    n_eval = sum(not m.training for m in module.modules())
    if n_eval:
        rank_zero_warn(
            f"Found {n_eval} module(s) in eval mode at the start of training. This may lead to unexpected behavior "
            "during training. If this is intentional, you can ignore this warning."
        )
