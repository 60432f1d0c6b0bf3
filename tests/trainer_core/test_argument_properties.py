"""Properties of all arguments of Trainer: any value is taken or refused with its name, itself and what is allowed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer_core import Callback, MisconfigurationException, Trainer
from trainer_core.callbacks import ModelCheckpoint, Timer, TQDMProgressBar
from trainer_core.checkpoint.io import CheckpointIO
from trainer_core.devices import CPUAccelerator
from trainer_core.errors import OptionError
from trainer_core.loggers.base import DummyLogger
from trainer_core.options import TRAINER_OPTIONS, TrainerOptions
from trainer_core.precision import Precision
from trainer_core.profilers import PassThroughProfiler

pytestmark = pytest.mark.filterwarnings("ignore")
QUIET: dict[str, Any] = {"accelerator": "cpu", "logger": False, "max_epochs": 1}
NAMES = sorted(TRAINER_OPTIONS)
ERRORS = (OptionError, MisconfigurationException)
BESIDE: dict[str, dict[str, Any]] = {"check_val_every_n_epoch": {"val_check_interval": 2}}
"""What a valid value of an argument needs beside it."""
MACHINE = {"accelerator", "strategy", "devices", "num_nodes"}
"""What these take depends on the machine."""

Claim = Callable[[Any], bool]


def whole(minimum: int, *, nullable: bool = False) -> Claim:
    return lambda v: (v is None and nullable) or (type(v) is int and v >= minimum)


def flag(*, nullable: bool = False) -> Claim:
    return lambda v: type(v) is bool or (v is None and nullable)


def limit(*, nullable: bool = True) -> Claim:
    def fits(v: Any) -> bool:
        return (v is None and nullable) or (type(v) is int and v >= 0) or (type(v) is float and 0.0 <= v <= 1.0)

    return fits


def either(claim: Claim, *texts: str) -> Claim:
    """The claim, or a duration with a unit."""
    return lambda v: claim(v) or (type(v) is str and v in texts)


def one_of(*names: Any, kind: type | tuple[type, ...] = ()) -> Claim:
    return lambda v: any(type(v) is type(n) and v == n for n in names) or isinstance(v, kind)


def several(kind: type) -> Claim:
    return lambda v: v is None or isinstance(v, kind) or (type(v) is list and all(isinstance(i, kind) for i in v))


TIMES: tuple[Any, ...] = ("00:00:30:00", "30min", "1h30min", timedelta(hours=1), {"minutes": 5})
FITS: dict[str, Claim] = {
    "precision": one_of(
        None,
        16,
        32,
        64,
        "16",
        "32",
        "64",
        "bf16",
        "32-true",
        "16-mixed",
        "bf16-mixed",
        "16-true",
        "bf16-true",
        "64-true",
        kind=Precision,
    ),  # fmt: skip
    "logger": lambda v: type(v) is bool or several(DummyLogger)(v),
    "callbacks": several(Callback),
    "fast_dev_run": lambda v: type(v) is bool or whole(0)(v),
    "max_epochs": either(whole(-1, nullable=True), "10ep"),
    "min_epochs": either(whole(0, nullable=True), "10ep"),
    "max_steps": either(whole(-1), "500st"),
    "min_steps": either(whole(0, nullable=True), "500st"),
    "max_time": one_of(None, *TIMES),
    **{f"limit_{stage}_batches": limit() for stage in ("train", "val", "test", "predict")},
    "overfit_batches": limit(nullable=False),
    "val_check_interval": either(lambda v: limit()(v) or one_of(*TIMES)(v), "10ep", "500st", "64ba", "1e6sp", "25%"),
    "check_val_every_n_epoch": either(whole(1, nullable=True), "10ep"),
    "num_sanity_val_steps": whole(-1, nullable=True),
    "log_every_n_steps": either(whole(0, nullable=True), "10ep", "500st", "64ba", "1e6sp", "25%"),
    **{f"enable_{part}": flag(nullable=True) for part in ("checkpointing", "progress_bar", "model_summary")},
    "accumulate_grad_batches": whole(1),
    "gradient_clip_val": lambda v: v is None or (type(v) in (int, float) and v >= 0),
    "gradient_clip_algorithm": one_of(None, "norm", "value"),
    "deterministic": one_of(None, True, False, "warn"),
    "benchmark": flag(nullable=True),
    **{name: flag() for name in ("inference_mode", "use_distributed_sampler", "detect_anomaly", "barebones")},
    "profiler": one_of(None, "simple", "advanced", "pytorch", kind=PassThroughProfiler),
    "plugins": lambda v: several(Precision)(v) or several(CheckpointIO)(v),
    "sync_batchnorm": flag(),
    "reload_dataloaders_every_n_epochs": either(whole(0), "10ep"),
    "default_root_dir": lambda v: v is None or isinstance(v, str | os.PathLike),
    "enable_autolog_hparams": flag(),
    "model_registry": lambda v: v is None or isinstance(v, str),
    "randomness": one_of("exact", "stream"),
    "accumulate_by": one_of("batches", "samples", "tokens"),
    "fit_to_memory": flag(),
}
"""What an argument takes on every machine; written down here once more, apart from the engine."""

PARTS = (CPUAccelerator(), Precision(), CheckpointIO(), Callback(), DummyLogger(), PassThroughProfiler())
NAMED = ["auto", "cpu", "tpu", "ddp", "single_device", "32-true", "16-mixed", "bf16", "norm", "value", "warn", "simple"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([2**63, -(2**70), 0.0, 0.5, 1.0, 1.5, -0.5, math.nan, math.inf, -math.inf]),
    st.text(max_size=4),
    st.sampled_from([*NAMED, *TIMES, "10ep", "500st", "64ba", "1e6sp", "25%", "0.5st", "-1", "0", "0,0"]),
    st.sampled_from([b"x", 1j, object(), int, print, np.int64(2), np.float32(0.5), np.ones(2), torch.ones(2)]),
    st.sampled_from(PARTS),
)
values = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(st.text(max_size=2), scalars, max_size=1))


@pytest.fixture(autouse=True, scope="module")
def _as_before() -> Iterator[None]:
    """`deterministic` and `benchmark` change the process."""
    before = torch.backends.cudnn.benchmark, os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = before[0]
    if before[1] is None:
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def made(**options: Any) -> Trainer:
    return Trainer(**{**QUIET, **options})


def says_all(error: BaseException, name: str, value: Any) -> bool:
    message = str(error)
    if name in MACHINE and message.startswith("strategy: got"):
        return "allowed" in message  # several devices need a strategy
    return message.startswith(f"{name}: got {repr(value)[:60]}") and ", allowed is " in message


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(value=values)
def test_any_value_is_taken_or_refused_in_the_same_words(name: str, value: Any) -> None:
    error = refusal(name, value)
    assert (error is None) == FITS[name](value) if name in FITS else True, value
    assert error is None or says_all(error, name, value), str(error)


def refusal(name: str, value: Any) -> Exception | None:
    try:
        made(**BESIDE.get(name, {}), **{name: value})
    except ERRORS as error:
        return error
    return None


def valid(name: str) -> st.SearchStrategy[Any]:
    """Values that an argument takes, alone and beside the others, on a machine with one CPU."""
    single = {"accelerator": "cpu", "strategy": "single_device", "devices": 1, "num_nodes": 1}
    if name in single:
        return st.sampled_from(["auto" if name != "num_nodes" else 1, single[name]])
    kind = TRAINER_OPTIONS[name].kind
    if kind == "bool":
        drawn: st.SearchStrategy[Any] = st.booleans()
    elif kind == "int":
        drawn = st.integers(int(TRAINER_OPTIONS[name].minimum or 0), 2**40)
    else:
        drawn = st.one_of(st.integers(0, 50), st.floats(0.0, 1.0))
    chosen: dict[str, st.SearchStrategy[Any]] = {
        "precision": st.sampled_from([None, "32-true", 64, "bf16-mixed"]),
        "logger": st.sampled_from([None, True, False, PARTS[4], [PARTS[4], DummyLogger()]]),
        "callbacks": st.sampled_from([None, PARTS[3], [Callback(), Callback()]]),
        "fast_dev_run": st.sampled_from([False, True, 0, 3]),
        "max_time": st.sampled_from([None, *TIMES]),
        "gradient_clip_algorithm": st.sampled_from([None, "norm", "value"]),
        "profiler": st.sampled_from([None, "simple", PARTS[5]]),
        "plugins": st.sampled_from([None, CheckpointIO(), [CheckpointIO()]]),
        "default_root_dir": st.sampled_from([None, "somewhere", Path("else/where")]),
        "model_registry": st.sampled_from([None, "registered"]),
        "randomness": st.sampled_from(["exact", "stream"]),
        "accumulate_by": st.sampled_from(["batches", "samples", "tokens"]),
        "barebones": st.just(False),
        "deterministic": st.sampled_from([None, False]),
    }
    return chosen.get(name, drawn)


READ_BACK = [
    *(f"limit_{stage}_batches" for stage in ("val", "test", "predict")),
    *("check_val_every_n_epoch", "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"),
    *("log_every_n_steps", "max_steps", "num_nodes", "overfit_batches", "reload_dataloaders_every_n_epochs"),
]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(options=st.fixed_dictionaries({}, optional={name: valid(name) for name in NAMES}))
def test_valid_values_together_are_taken_and_kept(options: dict[str, Any]) -> None:
    trainer = Trainer(**{**QUIET, **options})
    assert asdict_of(TrainerOptions(**options), options) == options
    if options.get("fast_dev_run") or options.get("overfit_batches"):
        return
    for name in set(READ_BACK) & set(options):
        assert getattr(trainer, name) == options[name], name


def asdict_of(options: TrainerOptions, names: Any) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_wrong_value_among_valid_ones_is_the_one_named(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FITS)))
    wrong = data.draw(values.filter(lambda v: not FITS[name](v)))
    others = data.draw(st.fixed_dictionaries({}, optional={n: valid(n) for n in NAMES if n != name}))
    with pytest.raises(ERRORS) as caught:
        Trainer(**{**QUIET, **others, name: wrong})
    assert says_all(caught.value, name, wrong), str(caught.value)


written = st.one_of(
    st.integers(-3, 60).map(str),
    st.floats(-1.0, 3.0).map(lambda v: f"{v:.2g}"),
    st.sampled_from(
        [*NAMED, "", "1/2", "3e-4", "0.5", "true", "off", "30min", "00:01:00:00", "10ep", "500st", "25%", "soon"]
    ),
)


@pytest.mark.parametrize("name", sorted(set(NAMES) - MACHINE))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=written)
def test_what_a_form_takes_the_trainer_takes(name: str, text: str) -> None:
    try:
        value = TRAINER_OPTIONS[name].parse(text)
    except OptionError:
        return
    if TRAINER_OPTIONS[name].kind != "object":
        made(**BESIDE.get(name, {}), **{name: value})


CONTRADICTIONS: list[tuple[str, dict[str, Any]]] = [
    ("enable_checkpointing", {"enable_checkpointing": False, "callbacks": ModelCheckpoint()}),
    ("enable_progress_bar", {"enable_progress_bar": False, "callbacks": [TQDMProgressBar()]}),
    ("precision", {"precision": "32-true", "plugins": Precision()}),
    ("plugins", {"plugins": [Precision(), Precision()]}),
    ("val_check_interval", {"check_val_every_n_epoch": None, "val_check_interval": 0.5}),
    ("val_check_interval", {"check_val_every_n_epoch": None}),
    *(
        (name, {"barebones": True, name: value})
        for name, value in {
            **dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), True),
            "logger": True,
            "fast_dev_run": 2,
            "profiler": "simple",
            "detect_anomaly": True,
            "log_every_n_steps": 1,
            "num_sanity_val_steps": 2,
        }.items()
    ),
]


@pytest.mark.parametrize(("name", "options"), CONTRADICTIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_contradicts_is_refused_by_name(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ERRORS, match=f"^{name}: got .*allowed is "):
        made(**options)


def test_a_users_timer_stands_beside_max_time() -> None:
    timer = Timer("00:00:30:00")
    assert [c for c in made(max_time="1h30min", callbacks=timer).callbacks if isinstance(c, Timer)] == [timer]
