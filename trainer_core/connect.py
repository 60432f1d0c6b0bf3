"""Builds the parts of a trainer from its arguments: strategy, loggers, callbacks, profiler, checkpoint path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer_core.arguments import ArgumentTypeError
from trainer_core.callback import Callback
from trainer_core.checkpoint import requeue
from trainer_core.checkpoint.io import CheckpointIO
from trainer_core.devices import resolve_accelerator, resolve_devices
from trainer_core.environments.base import ClusterEnvironment
from trainer_core.errors import MisconfigurationException
from trainer_core.loops.run import reorder
from trainer_core.precision import Precision, resolve_precision
from trainer_core.rank import rank_zero_warn
from trainer_core.states import TrainerFn
from trainer_core.strategies.base import Strategy

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


def make_strategy(given: dict[str, Any]) -> Strategy:
    """Accelerator, devices, precision, plugins and strategy, checked against each other."""
    from trainer_core.strategies import find_strategy

    accelerator = resolve_accelerator(given["accelerator"])
    devices = resolve_devices(given["devices"], accelerator)
    plugins = _plugins(given["plugins"])
    if "precision" in plugins and given["precision"] is not None:
        raise MisconfigurationException(
            f"precision: got {given['precision']!r} and a precision plugin, allowed is one of them."
        )
    precision = plugins.get("precision") or resolve_precision(given["precision"], accelerator.name)
    checkpoint_io = plugins.get("checkpoint_io") or CheckpointIO()
    if isinstance(given["strategy"], Strategy):
        strategy = given["strategy"]
        strategy.accelerator, strategy.devices, strategy.num_nodes = accelerator, devices, given["num_nodes"]
        strategy.precision_plugin, strategy.checkpoint_io = precision, checkpoint_io
        return _with_environment(strategy, plugins, given)
    kind, options = find_strategy(given["strategy"], devices=len(devices), num_nodes=given["num_nodes"])
    made = kind(accelerator, precision, checkpoint_io, devices, given["num_nodes"], **options)
    return _with_environment(made, plugins, given)


def _with_environment(strategy: Strategy, plugins: dict[str, Any], given: dict[str, Any]) -> Strategy:
    """Pass on what only strategies of several processes know."""
    strategy.sync_batchnorm = given["sync_batchnorm"]
    strategy.cluster_environment = plugins.get("environment") or strategy.cluster_environment
    return strategy


def _plugins(given: Any) -> dict[str, Any]:
    """At most one plugin per kind."""
    plugins = given if isinstance(given, list | tuple) else [] if given is None else [given]
    found: dict[str, Any] = {}
    for plugin in plugins:
        if isinstance(plugin, Precision):
            kind = "precision"
        elif isinstance(plugin, CheckpointIO):
            kind = "checkpoint_io"
        elif isinstance(plugin, ClusterEnvironment):
            kind = "environment"
        else:
            raise ArgumentTypeError("plugins", given, "a Precision, a CheckpointIO, or a list with one of each")
        if kind in found:
            raise MisconfigurationException(f"plugins: got two of the kind {kind}, allowed is one of each kind.")
        found[kind] = plugin
    return found


def make_loggers(given: Any, root: str) -> list[Any]:
    """True and None mean a TensorBoardLogger below the root folder where tensorboard is installed, else a CSVLogger."""
    if given is False:
        return []
    if given is None or given is True:
        from trainer_core.loggers.csv import CSVLogger
        from trainer_core.loggers.tensorboard import TensorBoardLogger, is_installed

        return [TensorBoardLogger(root) if is_installed() else CSVLogger(root)]
    from trainer_core.loggers.base import Logger

    return [given] if isinstance(given, Logger) else list(given)


def make_profiler(given: Any) -> Any:
    from trainer_core import profilers

    if given is None:
        return profilers.PassThroughProfiler()
    if not isinstance(given, str):
        return given
    name = {"simple": "SimpleProfiler", "advanced": "AdvancedProfiler", "pytorch": "PyTorchProfiler"}[given]
    return getattr(profilers, name)()


def default_callbacks(given: dict[str, Any]) -> list[Callback]:
    """The user's callbacks and those that the other arguments ask for, checkpoints last."""
    from trainer_core.callbacks import (
        Checkpoint,
        FitToMemory,
        ModelCheckpoint,
        ModelSummary,
        ProgressBar,
        Timer,
        TQDMProgressBar,
    )

    callbacks: list[Callback] = []
    if given["callbacks"] is not None:
        own = given["callbacks"]
        callbacks = [own] if isinstance(own, Callback) else list(own)

    def has(kind: type) -> bool:
        return any(isinstance(c, kind) for c in callbacks)

    fast = bool(given["fast_dev_run"])
    if given["enable_checkpointing"] is False:
        if has(ModelCheckpoint):
            raise MisconfigurationException(
                "enable_checkpointing: got False and a ModelCheckpoint callback, allowed is one of them."
            )
    elif not has(Checkpoint) and not fast:
        callbacks.append(ModelCheckpoint())
    if given["enable_progress_bar"] is False:
        if has(ProgressBar):
            raise MisconfigurationException(
                "enable_progress_bar: got False and a progress bar callback, allowed is one of them."
            )
    elif not has(ProgressBar):
        callbacks.append(TQDMProgressBar())
    if given["enable_model_summary"] is not False and not has(ModelSummary):
        callbacks.append(ModelSummary())
    if given["max_time"] is not None and not has(Timer):
        callbacks.append(Timer(duration=given["max_time"], interval="step"))
    if given["fit_to_memory"] and not has(FitToMemory):
        callbacks.append(FitToMemory())
    return reorder(callbacks)


def resolve_checkpoint_path(trainer: Trainer, given: str | Path | None, *, has_model: bool) -> str | Path | None:
    """A path for `ckpt_path`: "best" and "last" are looked up; without model and path, "best" (with a warning)."""
    fn = trainer.state.fn
    if given is None and fn is TrainerFn.FITTING and _failed_before(trainer):
        given = "last"
    if given == "hpc" or (given is None and fn is TrainerFn.FITTING and requeue.signal_of(trainer) is not None):
        waiting = requeue.newest(trainer)
        if waiting is not None:
            return waiting
        if given == "hpc":
            raise ValueError(f'ckpt_path: got "hpc", but there is no hpc_ckpt_*.ckpt in {trainer.default_root_dir}.')
    if given is None:
        if has_model:
            return None
        if trainer.checkpoint_callback is None or not getattr(trainer.checkpoint_callback, "best_model_path", ""):
            rank_zero_warn(
                f"`.{fn}(ckpt_path=None)` was called without a model and there is no best checkpoint; the weights of "
                "the last run are used as they are."
            )
            return None
        rank_zero_warn(
            f"`.{fn}(ckpt_path=None)` was called without a model. The best model of the previous `fit` call will be "
            f"used. You can pass `.{fn}(ckpt_path='best')` to use the best model or `.{fn}(ckpt_path='last')` to use "
            "the last model."
        )
        given = "best"
    if given == "best":
        return _best(trainer)
    if given == "last":
        return _last(trainer)
    path = Path(given)
    if not path.exists():
        raise FileNotFoundError(f"ckpt_path: got {str(given)!r}, but there is no such checkpoint.")
    return given


def _failed_before(trainer: Trainer) -> bool:
    """Whether the file of an OnExceptionCheckpoint waits to be resumed from."""
    return any(os.path.exists(getattr(saver, "ckpt_path", "")) for saver in trainer.checkpoint_callbacks)


def _best(trainer: Trainer) -> str:
    savers = [c for c in trainer.checkpoint_callbacks if hasattr(c, "best_model_path")]
    if len(savers) > 1:
        rank_zero_warn("There are several checkpoint callbacks: the best model of the first is used.")
    if not savers:
        raise ValueError('ckpt_path: got "best", but there is no ModelCheckpoint callback configured.')
    if trainer.fast_dev_run:
        raise ValueError('ckpt_path: got "best", but fast_dev_run saves no checkpoints.')
    path = getattr(savers[0], "best_model_path", "")
    if not path:
        raise ValueError('ckpt_path: got "best", but no checkpoint was saved yet.')
    return str(path)


def _last(trainer: Trainer) -> str | None:
    """The newest `last*.ckpt` or on-exception file of all checkpoint callbacks; None (with a warning) without any."""
    found: set[str] = set().union(*(saver.newest_paths(trainer) for saver in trainer.checkpoint_callbacks))
    existing = [p for p in found if os.path.exists(p)]
    if not existing:
        rank_zero_warn('ckpt_path="last" is set, but there is no last checkpoint available. No checkpoint is loaded.')
        return None
    return max(existing, key=os.path.getmtime)


@contextmanager
def init_context(strategy: Strategy, empty_init: bool) -> Iterator[None]:
    with strategy.root_device, strategy.precision_plugin.init_context():
        if not empty_init:
            yield
            return
        with _EmptyInit():
            yield


class _EmptyInit(torch.overrides.TorchFunctionMode):
    """Skips the initialisers of torch.nn.init, so that parameters keep whatever the memory holds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
