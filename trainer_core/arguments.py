"""Reads the arguments of `Trainer`: types, ranges and combinations, with errors that say what is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trainer_core.callback import Callback
from trainer_core.durations import parse_duration
from trainer_core.errors import MisconfigurationException, OptionError
from trainer_core.loops.schedule import interval_s
from trainer_core.options import TRAINER_OPTIONS
from trainer_core.rank import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer

_BOOLEANS = (
    "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "benchmark", "inference_mode",
    "use_distributed_sampler", "detect_anomaly", "barebones", "sync_batchnorm", "enable_autolog_hparams",
    "fit_to_memory",
)  # fmt: skip
_WHOLE = (
    "num_nodes", "max_epochs", "min_epochs", "max_steps", "min_steps", "check_val_every_n_epoch",
    "num_sanity_val_steps", "log_every_n_steps", "accumulate_grad_batches", "reload_dataloaders_every_n_epochs",
)  # fmt: skip
_LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches", "overfit_batches")


class ArgumentError(OptionError, MisconfigurationException):
    """A value that its argument does not take."""


class ArgumentTypeError(ArgumentError, TypeError):
    """A value of a type that its argument does not take."""


def check(given: dict[str, Any]) -> None:
    """Raise for the first argument whose value is of the wrong type or out of range; plain numbers for `10ep`, `500st`.

    What depends on the data stays a text: intervals in samples, batches or percent of the run.
    """
    for name in _WHOLE:
        given[name] = _plain_number(name, given[name])
    for name in _BOOLEANS:
        _check_bool(name, given[name])
    for name in _WHOLE:
        _check_whole(name, given[name])
    for name in _LIMITS:
        _check_limit(name, given[name])
    _check_interval(given["val_check_interval"], given["check_val_every_n_epoch"])
    _check_clipping(given["gradient_clip_val"], given["gradient_clip_algorithm"])
    _check_others(given)


def _plain_number(name: str, value: Any) -> Any:
    """The number of a duration in the argument's own unit; whole, as these arguments are."""
    found = TRAINER_OPTIONS[name].with_unit(value)
    if found is None or (name == "log_every_n_steps" and found.unit != "st"):
        return value
    if found.value != int(found.value):
        raise ArgumentError(name, value, _allowed(name))
    return int(found.value)


def _allowed(name: str) -> str:
    return TRAINER_OPTIONS[name].allowed()


def _check_bool(name: str, value: Any) -> None:
    if value is None and TRAINER_OPTIONS[name].nullable:
        return
    if not isinstance(value, bool):
        raise ArgumentTypeError(name, value, _allowed(name))


def _check_whole(name: str, value: Any) -> None:
    spec = TRAINER_OPTIONS[name]
    if (value is None and spec.nullable) or spec.with_unit(value) is not None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(name, value, spec.allowed())
    if spec.minimum is not None and value < spec.minimum:
        raise ArgumentError(name, value, spec.allowed())


def _check_limit(name: str, value: Any) -> None:
    allowed = "a whole number of batches, or a fraction from 0.0 to 1.0"
    if value is None and name != "overfit_batches":
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentTypeError(name, value, allowed)
    if value < 0 or value != value or (isinstance(value, float) and value > 1.0):
        raise ArgumentError(name, value, allowed)


def _check_interval(value: Any, every_n_epoch: int | None) -> None:
    name = "val_check_interval"
    allowed = (
        "a whole number of batches, a fraction from 0.0 to 1.0, 500st, 2ep, 64ba, 1e6sp, 25%, or a time such as 30min"
    )
    if _counts(value):
        if every_n_epoch not in (None, 1):
            raise ArgumentError(name, value, f"nothing with a unit beside check_val_every_n_epoch={every_n_epoch}")
        return
    if isinstance(value, str | timedelta | dict):
        try:
            interval_s(value)
        except OptionError as error:
            raise ArgumentError(name, value, allowed) from error
        return
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ArgumentTypeError(name, value, allowed)
    if value is not None and (value < 0 or value != value or (isinstance(value, float) and value > 1.0)):
        raise ArgumentError(name, value, allowed)
    if every_n_epoch is None and not isinstance(value, int):
        raise ArgumentError(name, value, "a whole number of batches or a time when check_val_every_n_epoch=None")


def _counts(interval: Any) -> bool:
    """Whether it is a duration that is not a time."""
    found = TRAINER_OPTIONS["val_check_interval"].with_unit(interval)
    return found is not None and found.unit != "s"


def read_validation(given: dict[str, Any]) -> tuple[Any, int | None]:
    """(val_check_interval, check_val_every_n_epoch): whole epochs as such; other durations count over the whole run."""
    interval, every = given["val_check_interval"], given["check_val_every_n_epoch"]
    if not _counts(interval):
        return (1.0 if interval is None else interval), every
    found = parse_duration(interval)
    if found.unit == "ep" and found.value == int(found.value):
        return 1.0, int(found.value)
    return str(found), None


def _check_clipping(value: Any, algorithm: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ArgumentTypeError("gradient_clip_val", value, _allowed("gradient_clip_val"))
    if value is not None and not value >= 0:
        raise ArgumentError("gradient_clip_val", value, _allowed("gradient_clip_val"))
    if algorithm is not None and not (isinstance(algorithm, str) and algorithm in ("norm", "value")):
        raise ArgumentError("gradient_clip_algorithm", algorithm, _allowed("gradient_clip_algorithm"))


def _check_others(given: dict[str, Any]) -> None:
    runs = given["fast_dev_run"]
    if not isinstance(runs, bool | int):
        raise ArgumentTypeError("fast_dev_run", runs, "true, false or a number of batches")
    if not isinstance(runs, bool) and runs < 0:
        raise ArgumentError("fast_dev_run", runs, "true, false or a number of batches of at least 0")
    deterministic = given["deterministic"]
    if not isinstance(deterministic, bool | None) and not (isinstance(deterministic, str) and deterministic == "warn"):
        raise ArgumentTypeError("deterministic", deterministic, "true, false, 'warn' or nothing")
    if given["max_time"] is not None:
        try:
            seconds = interval_s(given["max_time"])
        except OptionError as error:
            raise ArgumentError("max_time", given["max_time"], _TIME) from error
        if seconds is None:
            raise ArgumentTypeError("max_time", given["max_time"], _TIME)
    root = given["default_root_dir"]
    if root is not None and not isinstance(root, str | os.PathLike):
        raise ArgumentTypeError("default_root_dir", root, "a path")
    if not isinstance(given["randomness"], str) or given["randomness"] not in ("exact", "stream"):
        raise ArgumentError("randomness", given["randomness"], _allowed("randomness"))
    if not isinstance(given["accumulate_by"], str) or given["accumulate_by"] not in ("batches", "samples", "tokens"):
        raise ArgumentError("accumulate_by", given["accumulate_by"], _allowed("accumulate_by"))
    if given["model_registry"] is not None and not isinstance(given["model_registry"], str):
        raise ArgumentTypeError("model_registry", given["model_registry"], "a name or nothing")
    _check_objects(given)


_TIME = "a time as DD:HH:MM:SS, 30min, timedelta or dict"


def _check_objects(given: dict[str, Any]) -> None:
    from trainer_core.loggers.base import Logger
    from trainer_core.profilers.base import Profiler

    logger = given["logger"]
    if not isinstance(logger, bool | Logger | None):
        several = isinstance(logger, Iterable) and not isinstance(logger, str | bytes | dict)
        if several:
            given["logger"] = list(logger)  # an iterator is read once
        if not several or any(not isinstance(one, Logger) for one in given["logger"]):
            raise ArgumentTypeError("logger", logger, "true, false, a Logger, or a list of them")
    callbacks = given["callbacks"]
    own = [callbacks] if isinstance(callbacks, Callback) else callbacks
    wrong = not isinstance(own, list | tuple) or any(not isinstance(c, Callback) for c in own)
    if callbacks is not None and wrong:
        raise ArgumentTypeError("callbacks", callbacks, "a Callback or a list of them")
    profiler = given["profiler"]
    known = isinstance(profiler, Profiler | None) or (isinstance(profiler, str) and profiler in PROFILERS)
    if not known:
        raise ArgumentError("profiler", profiler, f"one of {', '.join(repr(p) for p in PROFILERS)}, or a Profiler")
    if given["strategy"] is None or not (
        isinstance(given["strategy"], str) or hasattr(given["strategy"], "setup_model")
    ):
        raise ArgumentTypeError("strategy", given["strategy"], "the name of a strategy, or a Strategy")


PROFILERS = ("simple", "advanced", "pytorch")


def check_barebones(given: dict[str, Any]) -> None:
    """`barebones` switches these off itself; asking for them as well is a contradiction."""
    clashing = {
        "enable_checkpointing": True, "enable_progress_bar": True, "enable_model_summary": True, "logger": None,
        "fast_dev_run": None, "profiler": None, "detect_anomaly": True,
    }  # fmt: skip
    for name, bad in clashing.items():
        value = given[name]
        if (bad is True and value is True) or (bad is None and value not in (None, False)):
            raise ArgumentError(name, value, "nothing with barebones=True, which switches it off")
    for name in ("log_every_n_steps", "num_sanity_val_steps"):
        if given[name] not in (None, 0):
            raise ArgumentError(name, given[name], "0 or nothing with barebones=True, which switches it off")


def resolve_limits(trainer: Trainer, given: dict[str, Any]) -> tuple[int, int | None, int, int | None]:
    """(max_epochs, min_epochs, max_steps, min_steps) out of what was given, with the defaults of 1000 epochs or none."""
    from trainer_core.callbacks.timer import Timer

    max_epochs, min_epochs = given["max_epochs"], given["min_epochs"]
    max_steps, min_steps = given["max_steps"], given["min_steps"]
    timed = given["max_time"] is not None or any(isinstance(c, Timer) for c in trainer.callbacks)
    if max_epochs is None:
        if max_steps == -1 and not timed:
            rank_zero_warn(
                "`max_epochs` was not set. Setting it to 1000 epochs. To train without an epoch limit, set "
                "`max_epochs=-1`."
            )
            max_epochs = 1000
        else:
            max_epochs = -1
    if min_epochs is None and min_steps is not None:
        min_epochs = 1
    return max_epochs, min_epochs or 0, max_steps, min_steps


def apply_fast_dev_run(trainer: Trainer, given: dict[str, Any]) -> None:
    """n batches of each stage, one epoch, no files."""
    from trainer_core.loggers.base import DummyLogger

    n_batches = int(given["fast_dev_run"])
    trainer.fast_dev_run = n_batches
    if not n_batches:
        return
    rank_zero_info(
        f"Running in `fast_dev_run` mode: will run the requested loop using {n_batches} batch(es). Logging and "
        "checkpointing is suppressed."
    )
    trainer.limit_train_batches = trainer.limit_val_batches = n_batches
    trainer.limit_test_batches = trainer.limit_predict_batches = n_batches
    trainer.num_sanity_val_steps = 0
    trainer.val_check_interval = 1.0
    trainer.check_val_every_n_epoch = 1
    given.update(max_steps=n_batches, max_epochs=1)
    trainer.loggers = [DummyLogger()] if trainer.loggers else []
