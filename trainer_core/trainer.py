"""Trainer: the public face of the engine. It reads its arguments, holds the parts, and runs the four functions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from trainer_core import arguments
from trainer_core.callback import Callback
from trainer_core.checkpoint import state as checkpoint_state
from trainer_core.checkpoint.io import CheckpointIO
from trainer_core.connect import (
    default_callbacks,
    make_loggers,
    make_profiler,
    make_strategy,
    resolve_checkpoint_path,
)
from trainer_core.datamodule import LightningDataModule
from trainer_core.devices import Accelerator
from trainer_core.errors import MisconfigurationException
from trainer_core.facts import TrainerFacts
from trainer_core.loggers.base import Logger
from trainer_core.loops import run as course
from trainer_core.loops.checks import check_fit, check_loop
from trainer_core.loops.evaluate import EvaluationLoop
from trainer_core.loops.fit import FitLoop
from trainer_core.loops.hooks import HookTable
from trainer_core.loops.predict import PredictionLoop, check_return_predictions
from trainer_core.loops.record import Recorder
from trainer_core.module import LightningModule
from trainer_core.overrides import is_overridden
from trainer_core.precision import Precision
from trainer_core.profilers.base import Profiler
from trainer_core.randomness import Randomness
from trainer_core.rank import OnceEach, rank_zero_warn
from trainer_core.results import Results
from trainer_core.states import RunningStage, TrainerFn, TrainerState, TrainerStatus
from trainer_core.strategies.base import Strategy


class Trainer(TrainerFacts):
    """Trains, validates, tests and applies a LightningModule.

    Every argument is described by `trainer_core.options.TrainerOptions`; wrong values raise an error that names the
    argument, what was given and what is allowed.
    """

    def __init__(
        self,
        *,
        accelerator: str | Accelerator = "auto",
        strategy: str | Strategy = "auto",
        devices: list[int] | str | int = "auto",
        num_nodes: int = 1,
        precision: int | str | None = None,
        logger: Logger | Iterable[Logger] | bool | None = None,
        callbacks: list[Callback] | Callback | None = None,
        fast_dev_run: int | bool = False,
        max_epochs: int | str | None = None,
        min_epochs: int | str | None = None,
        max_steps: int | str = -1,
        min_steps: int | str | None = None,
        max_time: str | timedelta | dict[str, int] | None = None,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        overfit_batches: int | float = 0.0,
        val_check_interval: int | float | str | timedelta | dict[str, int] | None = None,
        check_val_every_n_epoch: int | str | None = 1,
        num_sanity_val_steps: int | None = None,
        log_every_n_steps: int | str | None = None,
        enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None,
        enable_model_summary: bool | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
        deterministic: bool | Literal["warn"] | None = None,
        benchmark: bool | None = None,
        inference_mode: bool = True,
        use_distributed_sampler: bool = True,
        profiler: Profiler | str | None = None,
        detect_anomaly: bool = False,
        barebones: bool = False,
        plugins: Precision | CheckpointIO | list[Precision | CheckpointIO] | None = None,
        sync_batchnorm: bool = False,
        reload_dataloaders_every_n_epochs: int | str = 0,
        default_root_dir: str | Path | None = None,
        enable_autolog_hparams: bool = True,
        model_registry: str | None = None,
        randomness: str = "exact",
        accumulate_by: str = "batches",
        fit_to_memory: bool = False,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        arguments.check(given)
        self.state = TrainerState()
        self.barebones = barebones
        if barebones:
            arguments.check_barebones(given)
            for name in ("enable_checkpointing", "enable_progress_bar", "enable_model_summary", "logger"):
                given[name] = False
            given["log_every_n_steps"] = given["num_sanity_val_steps"] = 0
        self.default_root_dir = os.path.expanduser(os.fspath(default_root_dir or os.getcwd()))
        self.model_registry = model_registry
        self.should_stop = self.received_sigterm = self.received_requeue = False
        self._read_numbers(given)
        self.strategy = make_strategy(given)
        self.strategy.trainer = self
        self.profiler: Profiler = make_profiler(profiler)
        self.loggers: list[Logger] = make_loggers(given["logger"], self.default_root_dir)
        self.callbacks: list[Callback] = default_callbacks(given)
        arguments.apply_fast_dev_run(self, given)
        checkpoint_state.check_state_keys(self.callbacks)
        self._set_determinism(deterministic, benchmark)
        self.recorder = Recorder(self)
        self.results: Results | None = None
        self._module: LightningModule | None = None
        self.datamodule: LightningDataModule | None = None
        self.ckpt_path: str | Path | None = None
        self._once = OnceEach()
        self._agreed_log_dir: str | None = None
        #: False once one process has failed alone: then none may wait for another.
        self.processes_go_together = True
        self.fit_loop = FitLoop(self, *arguments.resolve_limits(self, given))
        self.validate_loop = EvaluationLoop(self, TrainerFn.VALIDATING, RunningStage.VALIDATING)
        self.test_loop = EvaluationLoop(self, TrainerFn.TESTING, RunningStage.TESTING)
        self.predict_loop = PredictionLoop(self)
        self.hooks = HookTable(self)

    def _read_numbers(self, given: dict[str, Any]) -> None:
        """The options that are plain values, with their defaults filled in."""
        overfit = given["overfit_batches"]
        for stage in ("train", "val", "test", "predict"):
            limit = given[f"limit_{stage}_batches"]
            if overfit > 0 and stage in ("train", "val"):
                limit = overfit
            setattr(self, f"limit_{stage}_batches", 1.0 if limit is None else limit)
        self.overfit_batches = overfit
        self.val_check_interval: Any
        self.check_val_every_n_epoch: int | None
        self.val_check_interval, self.check_val_every_n_epoch = arguments.read_validation(given)
        sanity = 2 if given["num_sanity_val_steps"] is None else given["num_sanity_val_steps"]
        self.num_sanity_val_steps: float = float("inf") if sanity == -1 else sanity
        self.log_every_n_steps: Any = 50 if given["log_every_n_steps"] is None else given["log_every_n_steps"]
        self.accumulate_grad_batches: int = given["accumulate_grad_batches"]
        self.accumulate_by: str = given["accumulate_by"]
        self.gradient_clip_val: float | None = given["gradient_clip_val"]
        self.gradient_clip_algorithm: str | None = given["gradient_clip_algorithm"]
        self.inference_mode: bool = given["inference_mode"]
        self.use_distributed_sampler: bool = given["use_distributed_sampler"]
        self.detect_anomaly: bool = given["detect_anomaly"]
        self.reload_dataloaders_every_n_epochs: int = given["reload_dataloaders_every_n_epochs"]
        self.enable_autolog_hparams: bool = given["enable_autolog_hparams"]
        self.randomness = Randomness(given["randomness"])
        self.fast_dev_run: int = 0

    limit_train_batches: int | float
    limit_val_batches: int | float
    limit_test_batches: int | float
    limit_predict_batches: int | float

    @staticmethod
    def _set_determinism(deterministic: Any, benchmark: bool | None) -> None:
        if deterministic is not None:
            torch.use_deterministic_algorithms(bool(deterministic), warn_only=deterministic == "warn")
            if deterministic:
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if benchmark is not None:
            torch.backends.cudnn.benchmark = benchmark
        elif deterministic:
            torch.backends.cudnn.benchmark = False

    # The four functions.

    def fit(
        self,
        model: LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train `model`, validating on the way; `ckpt_path` (a path, "last" or "best") resumes a run."""
        train_dataloaders, datamodule = _split(train_dataloaders, datamodule, val_dataloaders, "train_dataloaders")
        self._begin(TrainerFn.FITTING, RunningStage.TRAINING, model)
        self.should_stop = False

        course.call(
            self, partial(self._fit, model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only)
        )

    def _fit(
        self,
        model: Any,
        train_dataloaders: Any,
        val_dataloaders: Any,
        datamodule: Any,
        ckpt_path: Any,
        weights_only: Any,
    ) -> None:
        """What each process of a fit does."""
        module = self._attach(model, datamodule)
        self._set_source(self.fit_loop.source, train_dataloaders)
        self._set_source(self.fit_loop.val_loop.source, val_dataloaders)
        self.fit_loop.loader = self.fit_loop.val_loop.loader = None
        check_fit(self)
        self.ckpt_path = resolve_checkpoint_path(self, ckpt_path, has_model=True)
        self._say_if_finished()
        course.run(self, module, self.ckpt_path, weights_only)

    def validate(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """One dict of metrics per validation loader; without `model`, the last one with its best checkpoint."""
        return self._evaluate(self.validate_loop, model, dataloaders, ckpt_path, verbose, datamodule, weights_only)

    def test(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
        verbose: bool = True,
        datamodule: LightningDataModule | None = None,
        weights_only: bool | None = None,
    ) -> list[dict[str, float]]:
        """One dict of metrics per test loader; without `model`, the last one with its best checkpoint."""
        return self._evaluate(self.test_loop, model, dataloaders, ckpt_path, verbose, datamodule, weights_only)

    def predict(
        self,
        model: LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> Any:
        """Outputs of `predict_step` on the CPU, in order; a list of lists for several loaders."""
        loop = self.predict_loop
        loop.return_predictions = check_return_predictions(return_predictions, spawned=self.strategy.launches)
        return self._run_loop(
            loop, TrainerFn.PREDICTING, RunningStage.PREDICTING, model, dataloaders, datamodule, ckpt_path, weights_only
        )

    def _evaluate(
        self,
        loop: EvaluationLoop,
        model: LightningModule | None,
        dataloaders: Any,
        ckpt_path: Any,
        verbose: bool,
        datamodule: Any,
        weights_only: bool | None,
    ) -> Any:
        loop.verbose_table = verbose
        return self._run_loop(loop, loop.fn, loop.stage, model, dataloaders, datamodule, ckpt_path, weights_only)

    def _run_loop(
        self,
        loop: Any,
        fn: TrainerFn,
        stage: RunningStage,
        model: LightningModule | None,
        dataloaders: Any,
        datamodule: Any,
        ckpt_path: Any,
        weights_only: bool | None,
    ) -> Any:
        dataloaders, datamodule = _split(dataloaders, datamodule, None, "dataloaders")
        if model is None and self._module is None:
            raise TypeError(
                f"`Trainer.{fn}()` requires a `LightningModule` when it hasn't been passed in a previous run"
            )
        self._begin(fn, stage, model if model is not None else self._module)

        given = (loop, fn, model if model is not None else self._module, model is not None)
        return course.call(self, partial(self._run_here, *given, dataloaders, datamodule, ckpt_path, weights_only))

    def _run_here(
        self, loop: Any, fn: TrainerFn, model: Any, has_model: bool, dataloaders: Any, datamodule: Any, ckpt_path: Any,
        weights_only: Any,
    ) -> Any:  # fmt: skip
        """What each process of an evaluation or prediction does."""
        module = self._attach(model, datamodule)
        self._set_source(loop.source, dataloaders)
        loop.loader = None
        check_loop(module, fn, loop.source.is_defined)
        self.ckpt_path = resolve_checkpoint_path(self, ckpt_path, has_model=has_model)
        return course.run(self, module, self.ckpt_path, weights_only)

    def _begin(self, fn: TrainerFn, stage: RunningStage, model: Any) -> None:
        if not isinstance(model, LightningModule):
            raise TypeError(f"`Trainer.{fn}()` requires a `LightningModule`, got: {type(model).__qualname__}")
        self.state.fn, self.state.stage, self.state.status = fn, stage, TrainerStatus.RUNNING
        self.received_sigterm = self.received_requeue = False
        self.fit_loop.guard = self.fit_loop.memory = self.fit_loop.window_weight = None
        if self.strategy.launches:
            # The processes do this for themselves; here it is for what they bring back.
            self._attach(model, self.datamodule)

    def _attach(self, model: Any, datamodule: LightningDataModule | None) -> LightningModule:
        module: LightningModule = model
        self._module = module
        module.trainer = self
        module._find_children()
        self.datamodule = datamodule
        if datamodule is not None:
            datamodule.trainer = self
        self.strategy.connect(self, module)
        return module

    def _set_source(self, source: Any, dataloaders: Any) -> None:
        source.given = dataloaders
        source.owner = None
        if dataloaders is None:
            from trainer_core.hooks import DataHooks

            owners = [o for o in (self.datamodule, self._module) if o is not None]
            source.owner = next((o for o in owners if is_overridden(source.hook, o, DataHooks)), None)

    def _say_if_finished(self) -> None:
        """A second fit of a finished trainer trains nothing; unlike elsewhere, it says so."""
        loop = self.fit_loop
        epochs = loop.epoch_progress.current.processed
        if self.ckpt_path is None and loop.max_epochs != -1 and epochs >= loop.max_epochs and epochs:
            rank_zero_warn(
                f"This trainer has already run {epochs} of max_epochs={loop.max_epochs} epochs, so fit() has nothing "
                "to do. Make a new Trainer, or raise `trainer.fit_loop.max_epochs` to train on."
            )

    # Used by the loops.

    def use_results(self, results: Results | None) -> None:
        """From now on `log` writes into `results`; in barebones mode into nothing."""
        self.results = results
        if results is not None:
            results.reduce = self.strategy.reduce if self.strategy.world_size > 1 else None
        if self._module is not None and "_lightning_children" in self._module.__dict__:
            self._module._attach_results(None if self.barebones else results)

    def agree_on_log_dir(self) -> None:
        """The first process says where the files of this run are."""
        self._agreed_log_dir = None
        if self.strategy.world_size > 1:
            self._agreed_log_dir = self.log_dir

    def teardown_loops(self) -> None:
        for loop in (self.fit_loop, self.validate_loop, self.test_loop, self.predict_loop):
            loop.teardown()

    def warn_once(self, message: str) -> None:
        self._once.warn(message)

    def save_checkpoint(
        self, filepath: str | Path, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Write a checkpoint of the present state; to be called in all processes."""
        if self._module is None:
            raise AttributeError(
                "Saving a checkpoint is only possible if a model is attached to the Trainer. Did you call "
                "`Trainer.save_checkpoint()` before calling `Trainer.{fit,validate,test,predict}`?"
            )
        with self.fit_loop.clock.taking("save"), self.profiler.profile("save_checkpoint"):
            checkpoint = checkpoint_state.dump(self, weights_only=bool(weights_only))
            self.strategy.save_checkpoint(checkpoint, filepath, storage_options)
        if self.processes_go_together:
            self.strategy.barrier("Trainer.save_checkpoint")

    def init_module(self, empty_init: bool | None = None) -> AbstractContextManager[None]:
        """Create modules inside: parameters on the right device in the right type, without values if `empty_init`."""
        from trainer_core.connect import init_context

        return init_context(self.strategy, bool(empty_init))

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print in one process per node only."""
        if self.local_rank == 0:
            print(*args, **kwargs)


def _split(loaders: Any, datamodule: Any, others: Any, name: str) -> tuple[Any, Any]:
    """(loaders, datamodule); a datamodule may be given in the place of loaders, but not together with some."""
    if isinstance(loaders, LightningDataModule):
        loaders, datamodule = None, loaders
    if datamodule is not None and (loaders is not None or others is not None):
        raise MisconfigurationException(f"{name}: got both loaders and a datamodule, allowed is one of them.")
    if datamodule is not None and not isinstance(datamodule, LightningDataModule):
        raise TypeError(f"datamodule: got {type(datamodule).__qualname__}, allowed is a LightningDataModule.")
    return loaders, datamodule
