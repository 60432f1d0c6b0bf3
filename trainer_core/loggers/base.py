"""What a logger is: a place that takes metrics, hyper-parameters and the news of a checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Callable
from functools import wraps
from typing import Any

from trainer_core.loggers.media import MediaCalls
from trainer_core.media.record import Media
from trainer_core.rank import rank_zero_only


class Logger(MediaCalls, ABC):
    """Base of all loggers. Override `log_metrics`, `name` and `version`; the rest is optional.

    With `takes_tensors` True, `log_metrics` gets detached tensors (still on their device) instead of numbers, so that
    the training thread does not wait for them; the logger converts them when and where it likes.
    """

    takes_tensors = False

    @abstractmethod
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Take scalar values at `step`. It must not keep `metrics` and change it."""

    @abstractmethod
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Take the hyper-parameters; called once at the start."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """Name of the experiment."""

    @property
    @abstractmethod
    def version(self) -> int | str | None:
        """Version of the experiment."""

    @property
    def root_dir(self) -> str | None:
        """Folder of all versions of this experiment."""
        return None

    @property
    def log_dir(self) -> str | None:
        """Folder of this version."""
        return None

    @property
    def save_dir(self) -> str | None:
        """Folder under which everything is written."""
        return None

    @property
    def experiment(self) -> Any:
        """The object of the library behind this logger."""
        return None

    @property
    def group_separator(self) -> str:
        return "/"

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Take the model's graph."""

    def save(self) -> None:
        """Make what was logged durable; called after every write."""

    def finalize(self, status: str) -> None:
        """The run is over: `success`, `failed` or `interrupted`."""
        self.save()

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """A ModelCheckpoint wrote a file."""


class DummyExperiment:
    """Takes every call and does nothing."""

    def nop(self, *args: Any, **kwargs: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return self.nop

    def __getitem__(self, index: int) -> DummyExperiment:
        return self

    def __setitem__(self, *args: Any, **kwargs: Any) -> None: ...


def rank_zero_experiment(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a logger's `experiment`: on other ranks it is an object that takes every call and does nothing."""

    @wraps(fn)
    def experiment(self: Any) -> Any:
        found = rank_zero_only(fn)(self)
        return DummyExperiment() if found is None else found

    return experiment


class DummyLogger(Logger):
    """What `fast_dev_run` logs to: nothing is kept."""

    takes_tensors = True

    def __init__(self) -> None:
        self._experiment = DummyExperiment()

    @property
    def experiment(self) -> DummyExperiment:
        return self._experiment

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None: ...

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None: ...

    def log_media(self, media: Media, step: int | None = None) -> None: ...

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""
