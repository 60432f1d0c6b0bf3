"""What a Trainer tells about itself: its progress, devices, data, logs and parts, by Lightning's names."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.module import LightningModule
from trainer_core.overrides import is_overridden
from trainer_core.rank import rank_zero_info
from trainer_core.states import RunningStage, TrainerFn, TrainerState, TrainerStatus

if TYPE_CHECKING:
    from trainer_core.callback import Callback
    from trainer_core.loggers.base import Logger
    from trainer_core.loops.evaluate import EvaluationLoop
    from trainer_core.loops.fit import FitLoop
    from trainer_core.loops.predict import PredictionLoop
    from trainer_core.loops.record import Recorder
    from trainer_core.results import Results
    from trainer_core.strategies.base import Strategy


class TrainerFacts:
    """The properties of a Trainer, which sets the attributes below."""

    state: TrainerState
    strategy: Strategy
    fit_loop: FitLoop
    validate_loop: EvaluationLoop
    test_loop: EvaluationLoop
    predict_loop: PredictionLoop
    recorder: Recorder
    results: Results | None
    loggers: list[Logger]
    callbacks: list[Callback]
    default_root_dir: str
    accumulate_grad_batches: int
    num_sanity_val_steps: float
    limit_val_batches: int | float
    _module: LightningModule | None
    _agreed_log_dir: str | None

    # What is going on.

    @property
    def lightning_module(self) -> LightningModule:
        """The module that is attached; None before the first run."""
        return self._module  # type: ignore[return-value]

    @property
    def lightning_module_or_none(self) -> LightningModule | None:
        return self._module

    @property
    def model(self) -> Any:
        """The module as the strategy runs it, wrapped or not."""
        return self.strategy.model

    @property
    def training(self) -> bool:
        return self.state.stage is RunningStage.TRAINING

    @property
    def validating(self) -> bool:
        return self.state.stage is RunningStage.VALIDATING

    @property
    def testing(self) -> bool:
        return self.state.stage is RunningStage.TESTING

    @property
    def predicting(self) -> bool:
        return self.state.stage is RunningStage.PREDICTING

    @property
    def sanity_checking(self) -> bool:
        return self.state.stage is RunningStage.SANITY_CHECKING

    @property
    def evaluating(self) -> bool:
        return self.state.stage is not None and self.state.stage.evaluating

    @property
    def interrupted(self) -> bool:
        return self.state.status is TrainerStatus.INTERRUPTED

    # Progress.

    @property
    def global_step(self) -> int:
        """Number of optimizer steps done."""
        return self.fit_loop.steps.total

    @property
    def current_epoch(self) -> int:
        """Number of epochs finished; inside an epoch its 0-based index."""
        return self.fit_loop.epoch_progress.current.completed

    @property
    def max_epochs(self) -> int:
        return self.fit_loop.max_epochs

    @property
    def min_epochs(self) -> int | None:
        return self.fit_loop.min_epochs

    @property
    def max_steps(self) -> int:
        return self.fit_loop.max_steps

    @property
    def min_steps(self) -> int | None:
        return self.fit_loop.min_steps

    @property
    def is_last_batch(self) -> bool:
        return self.fit_loop.batch_progress.is_last_batch

    @property
    def enable_validation(self) -> bool:
        """Whether fit validates: there is data, a step, and a limit above 0."""
        loop = self.fit_loop.val_loop
        has_step = self._module is not None and is_overridden("validation_step", self._module, LightningModule)
        return loop.source.is_defined and has_step and self.limit_val_batches > 0

    @property
    def breakdown(self) -> dict[str, float]:
        """Where the time of the present or last fit went, in seconds: `data` (waiting for batches), `copy` (to the
        device), `compute`, `validation`, `save` and `other` (hooks, callbacks, logging). Always measured.
        """
        return self.fit_loop.clock.breakdown()

    @property
    def _accelerator_connector(self) -> Any:
        """Projects written for Lightning ask it for `is_distributed` and the parts."""
        strategy = self.strategy
        return SimpleNamespace(
            is_distributed=not strategy.step_is_direct, strategy=strategy, accelerator=strategy.accelerator
        )

    @property
    def num_training_batches(self) -> float:
        return self.fit_loop.max_batches

    @property
    def num_val_batches(self) -> list[float]:
        loop = self.validate_loop if self.state.fn is TrainerFn.VALIDATING else self.fit_loop.val_loop
        return loop.limits()

    @property
    def num_sanity_val_batches(self) -> list[float]:
        return [min(self.num_sanity_val_steps, n) for n in self.fit_loop.val_loop.max_batches]

    @property
    def num_test_batches(self) -> list[float]:
        return self.test_loop.max_batches

    @property
    def num_predict_batches(self) -> list[float]:
        return self.predict_loop.max_batches

    @property
    def val_check_batch(self) -> float:
        return self.fit_loop.schedule.every_batches

    @property
    def estimated_stepping_batches(self) -> float:
        """Optimizer steps of the whole run; infinity without a limit. May make the training loaders."""
        loop = self.fit_loop
        if loop.max_epochs == -1:
            return float("inf") if loop.max_steps == -1 else loop.max_steps
        if loop.loader is None:
            rank_zero_info("Loading `train_dataloader` to estimate number of stepping batches.")
            state = self.state.stage
            self.state.stage = RunningStage.TRAINING
            loop.setup_data()
            self.state.stage = state
        if self.num_training_batches == float("inf"):
            return loop.max_steps
        steps = math.ceil(self.num_training_batches / self.accumulate_grad_batches) * max(loop.max_epochs, 1)
        return steps if loop.max_steps == -1 else min(steps, loop.max_steps)

    # Devices.

    @property
    def accelerator(self) -> Any:
        return self.strategy.accelerator

    @property
    def precision_plugin(self) -> Any:
        return self.strategy.precision_plugin

    @property
    def precision(self) -> Any:
        return self.strategy.precision_plugin.precision

    @property
    def scaler(self) -> Any:
        return getattr(self.precision_plugin, "scaler", None)

    @property
    def device_ids(self) -> list[int]:
        return [d.index if d.index is not None else i for i, d in enumerate(self.strategy.devices)]

    @property
    def num_devices(self) -> int:
        return len(self.strategy.devices)

    @property
    def num_nodes(self) -> int:
        return self.strategy.num_nodes

    @property
    def world_size(self) -> int:
        return self.strategy.world_size

    @property
    def global_rank(self) -> int:
        return self.strategy.global_rank

    @property
    def local_rank(self) -> int:
        return self.strategy.local_rank

    @property
    def node_rank(self) -> int:
        return self.strategy.node_rank

    @property
    def is_global_zero(self) -> bool:
        return self.strategy.is_global_zero

    # Data, optimizers, logs.

    @property
    def train_dataloader(self) -> Any:
        loader = self.fit_loop.loader
        return None if loader is None else loader.iterables

    @property
    def val_dataloaders(self) -> Any:
        loop = self.validate_loop if self.state.fn is TrainerFn.VALIDATING else self.fit_loop.val_loop
        return None if loop.loader is None else loop.loader.iterables

    @property
    def test_dataloaders(self) -> Any:
        return None if self.test_loop.loader is None else self.test_loop.loader.iterables

    @property
    def predict_dataloaders(self) -> Any:
        return None if self.predict_loop.loader is None else self.predict_loop.loader.iterables

    @property
    def optimizers(self) -> Any:
        return self.strategy.optimizers

    @optimizers.setter
    def optimizers(self, optimizers: Any) -> None:
        self.strategy.optimizers = list(optimizers)
        self.strategy.wrap_optimizers()

    @property
    def lr_scheduler_configs(self) -> Any:
        return self.strategy.lr_scheduler_configs

    @property
    def logger(self) -> Logger | None:
        """The first logger."""
        return self.loggers[0] if self.loggers else None

    @logger.setter
    def logger(self, logger: Logger | None) -> None:
        self.loggers = [logger] if logger is not None else []

    @property
    def log_dir(self) -> str | None:
        """Folder of the first logger's files. All processes agree on it as a run begins; in it each may ask alone."""
        if self._agreed_log_dir is not None and self.state.status is TrainerStatus.RUNNING:
            return self._agreed_log_dir
        folder: str | None
        if self.loggers:
            first = self.loggers[0]
            folder = first.log_dir if first.log_dir is not None else first.save_dir
        else:
            folder = self.default_root_dir
        return self.strategy.broadcast(folder)  # type: ignore[no-any-return]

    @property
    def callback_metrics(self) -> dict[str, Any]:
        """What callbacks can watch: tensors, on their device."""
        self._absorb()
        return self.recorder.callback_metrics

    @property
    def logged_metrics(self) -> dict[str, Any]:
        self._absorb()
        return self.recorder.logged_metrics

    @property
    def progress_bar_metrics(self) -> dict[str, Any]:
        """Numbers."""
        self._absorb()
        shown = self.recorder.bar_metrics
        return {k: v.item() if isinstance(v, torch.Tensor) else v for k, v in shown.items()}

    def _absorb(self) -> None:
        results = self.results
        if results is not None:
            self.recorder.absorb(results, on_step=results.on_step)

    def _first(self, kind: str) -> list[Any]:
        import trainer_core.callbacks as callbacks

        return [c for c in self.callbacks if isinstance(c, getattr(callbacks, kind))]

    @property
    def early_stopping_callback(self) -> Any:
        return next(iter(self.early_stopping_callbacks), None)

    @property
    def early_stopping_callbacks(self) -> list[Any]:
        return self._first("EarlyStopping")

    @property
    def checkpoint_callback(self) -> Any:
        return next(iter(self.checkpoint_callbacks), None)

    @property
    def checkpoint_callbacks(self) -> list[Any]:
        return self._first("Checkpoint")

    @property
    def progress_bar_callback(self) -> Any:
        return next(iter(self._first("ProgressBar")), None)
