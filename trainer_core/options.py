"""Options as data: what an option is called, may hold, defaults to and means.

One `OptionSpec` drives the form field, the REST schema, the YAML, the CLI and the docs; `TrainerOptions`
is the dataclass of them that equals `Trainer.__init__`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from trainer_core.durations import Duration as Duration
from trainer_core.durations import parse_duration as parse_duration
from trainer_core.errors import OptionError
from trainer_core.values import parse_number as parse_number
from trainer_core.values import parse_value

Kind = Literal[
    "int", "float", "number", "amount", "bool", "str", "choice", "duration", "time", "list", "object", "value"
]
Level = Literal["basic", "advanced", "hidden"]
UNIT_EXAMPLES = {"ep": "10ep", "st": "500st", "ba": "64ba", "sp": "1e6sp", "s": "30min", "%": "25%"}
GROUPS = ("General", "Data", "Model", "Optimiser", "Trainer", "Hardware", "Checkpoints", "Advanced")


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option. "number" keeps int and float apart; so does "amount": so many, or a fraction from 0.0 to 1.0 of all.

    "value" is what code asks for without saying a type: text is read as a number, yes or no, or a list where it is one.
    """

    name: str
    kind: Kind
    default: Any = None
    help: str = ""
    group: str = "Advanced"
    level: Level = "advanced"
    label: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    nullable: bool = False
    required: bool = False
    item_kind: Kind = "str"
    units: tuple[str, ...] = ()  # of durations that are taken besides, such as ("ep",) for 10ep

    def allowed(self) -> str:
        """What the option accepts, in words."""
        if self.kind == "choice":
            words = "one of " + ", ".join(repr(c) for c in self.choices)
        else:
            words = {
                "int": "a whole number",
                "float": "a number",
                "number": "a whole number or a fraction",
                "amount": "a whole number, or a fraction from 0.0 to 1.0",
                "bool": "true or false",
                "str": "text",
                "duration": "a duration such as 10ep, 500st, 1e6sp, 30min or 25%",
                "time": "a time such as 30min, 1h30min or 00:01:30:00 (days, hours, minutes, seconds)",
                "list": f"a list of {self.item_kind}",
                "object": "an object (in Python only)",
                "value": "a number, yes or no, text, or a list such as [2, 2]",
            }[self.kind]
            if self.minimum is not None and self.maximum is not None:
                words += f" from {self.minimum:g} to {self.maximum:g}"
            elif self.minimum is not None:
                words += f" of at least {self.minimum:g}"
            elif self.maximum is not None:
                words += f" of at most {self.maximum:g}"
        if self.units:
            words += " or " + ", ".join(UNIT_EXAMPLES[unit] for unit in self.units)
        return words + (" or nothing" if self.nullable else "")

    def parse(self, given: Any) -> Any:
        """Turn text or a JSON value into the option's value; OptionError when it does not fit."""
        if given is None or (isinstance(given, str) and not given.strip() and self.kind != "str"):
            if self.nullable:
                return None
            raise OptionError(self.name, given, self.allowed(), "It cannot be empty.")
        try:
            value = self._convert(given)
        except (ValueError, TypeError, OverflowError) as error:
            if isinstance(error, OptionError):
                raise
            raise OptionError(self.name, given, self.allowed()) from error
        self._check_range(value)
        return value

    def with_unit(self, given: Any) -> Duration | None:
        """`given` as a duration in one of `units`; None for everything else."""
        if not self.units or not isinstance(given, str | Duration):
            return None
        try:
            found = parse_duration(given, name=self.name)
        except OptionError:
            return None
        return found if found.unit in self.units else None

    def _convert(self, given: Any) -> Any:
        if (found := self.with_unit(given)) is not None:
            return given.strip() if isinstance(given, str) and found.unit == "s" else str(found)
        if self.kind in ("int", "float", "number", "amount"):
            return self._number(given)
        if self.kind == "bool":
            if isinstance(given, bool):
                return given
            if isinstance(given, str) and given.strip().lower() in ("true", "on", "yes", "1"):
                return True
            if isinstance(given, str) and given.strip().lower() in ("false", "off", "no", "0"):
                return False
            raise ValueError
        if self.kind == "choice":
            for choice in self.choices:
                if (given == choice and type(given) is type(choice)) or str(given) == str(choice):
                    return choice
            raise ValueError
        if self.kind == "duration":
            return str(parse_duration(given, name=self.name))
        if self.kind == "time":
            duration = parse_duration(given, name=self.name)
            if duration.unit != "s":
                raise ValueError
            return given.strip() if isinstance(given, str) else str(duration)
        if self.kind == "str":
            if not isinstance(given, str | int | float) or isinstance(given, bool):
                raise ValueError
            return str(given)
        if self.kind == "list":
            items = [p for p in given.replace(";", ",").split(",") if p.strip()] if isinstance(given, str) else given
            if not isinstance(items, list | tuple):
                raise ValueError
            item = OptionSpec(self.name, self.item_kind)
            return [item.parse(i.strip() if isinstance(i, str) else i) for i in items]
        return parse_value(given) if self.kind == "value" and isinstance(given, str) else given

    def _number(self, given: Any) -> int | float:
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise ValueError
        value = parse_number(given) if isinstance(given, str) else given
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        if self.kind == "amount" and (value < 0 or (isinstance(value, float) and value > 1.0)):
            raise ValueError
        if self.kind == "int":
            if value != int(value):
                raise ValueError
            return int(value)
        return float(value) if self.kind == "float" else value

    def _check_range(self, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if (self.minimum is not None and value < self.minimum) or (self.maximum is not None and value > self.maximum):
            raise OptionError(self.name, value, self.allowed())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it back."""
        told = {**asdict(self), "choices": list(self.choices), "units": list(self.units)}
        return told if self.units else {k: v for k, v in told.items() if k != "units"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OptionSpec:
        known = {f.name for f in fields(cls)}
        kept = {k: v for k, v in data.items() if k in known}
        return cls(**{**kept, "choices": tuple(kept.get("choices", ())), "units": tuple(kept.get("units", ()))})


def option(default: Any, kind: Kind, help: str, **spec: Any) -> Any:
    """A dataclass field that carries its OptionSpec."""
    return field(default=default, metadata={"option": {"kind": kind, "help": help, **spec}})


def specs_of(options: type) -> dict[str, OptionSpec]:
    """The OptionSpec of every field of an options dataclass, in order."""
    return {
        f.name: OptionSpec(name=f.name, default=f.default, **f.metadata["option"])
        for f in fields(options)
        if "option" in f.metadata
    }


def parse_all(specs: Mapping[str, OptionSpec], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Parse many values; returns (values that differ from the default, error text by name)."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, raw in given.items():
        if name not in specs:
            errors[name] = f"{name} is not an option. Known are: {', '.join(specs)}."
            continue
        try:
            value = specs[name].parse(raw)
        except OptionError as error:
            errors[name] = str(error)
            continue
        if value != specs[name].default or type(value) is not type(specs[name].default):
            values[name] = value
    for name, spec in specs.items():
        if spec.required and name not in given:
            errors[name] = f"{name} is required: {spec.allowed()}."
    return values, errors


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerOptions:
    """Every argument of `Trainer`, with its default, bounds and help. A test holds the two equal."""

    accelerator: Any = option(
        "auto",
        "choice",
        "Which kind of device trains the model; auto takes a GPU if there is one.",
        group="Hardware",
        level="basic",
        choices=("auto", "cpu", "gpu", "cuda", "mps"),
    )
    strategy: Any = option(
        "auto", "str", "How several devices share the work; auto is one device, or ddp for more.", group="Hardware"
    )
    devices: Any = option(
        "auto", "str", "How many devices, or which: auto, a number, or ids such as 0,2.", group="Hardware"
    )
    num_nodes: int = option(1, "int", "How many machines take part.", group="Hardware", minimum=1)
    precision: Any = option(
        None,
        "choice",
        "Number format of the computation; bf16-mixed halves memory on recent GPUs.",
        group="Hardware",
        level="basic",
        nullable=True,
        choices=("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"),
    )
    logger: Any = option(None, "object", "Where metrics are written besides the studio.", level="hidden", nullable=True)
    callbacks: Any = option(None, "object", "Callbacks that take part in the run.", level="hidden", nullable=True)
    fast_dev_run: Any = option(
        False,
        "int",
        "Run so many batches of each stage and stop, to see that the code works.",
        group="Trainer",
        minimum=0,
        unit="batches",
    )
    max_epochs: int | None = option(
        None,
        "int",
        "Passes over the training data; -1 for no limit.",
        group="Trainer",
        level="basic",
        nullable=True,
        minimum=-1,
        unit="epochs",
        units=("ep",),
    )
    min_epochs: int | None = option(
        None,
        "int",
        "Early stopping is ignored before this many epochs.",
        group="Trainer",
        nullable=True,
        minimum=0,
        unit="epochs",
        units=("ep",),
    )
    max_steps: int = option(
        -1,
        "int",
        "Stop after so many optimizer steps; -1 for no limit.",
        group="Trainer",
        level="basic",
        minimum=-1,
        unit="steps",
        units=("st",),
    )
    min_steps: int | None = option(
        None,
        "int",
        "Early stopping is ignored before this many steps.",
        group="Trainer",
        nullable=True,
        minimum=0,
        unit="steps",
        units=("st",),
    )
    max_time: Any = option(None, "time", "Stop after this wall time.", group="Trainer", nullable=True)
    limit_train_batches: Any = option(
        None,
        "amount",
        "Use only so many training batches an epoch, or this fraction of them.",
        group="Data",
        nullable=True,
    )
    limit_val_batches: Any = option(
        None,
        "amount",
        "Use only so many validation batches, or this fraction of them.",
        group="Data",
        nullable=True,
    )
    limit_test_batches: Any = option(
        None,
        "amount",
        "Use only so many test batches, or this fraction of them.",
        group="Data",
        nullable=True,
    )
    limit_predict_batches: Any = option(
        None,
        "amount",
        "Use only so many prediction batches, or this fraction of them.",
        group="Data",
        nullable=True,
    )
    overfit_batches: Any = option(
        0.0,
        "amount",
        "Train on only so many batches (or this fraction) to see whether the model can learn at all.",
        group="Data",
    )
    val_check_interval: Any = option(
        None,
        "amount",
        "Validate every so many batches, or this fraction of an epoch, or as 500st, 2ep, 1e6sp, 30min or 25% of the run.",
        group="Trainer",
        nullable=True,
        units=("ep", "st", "ba", "sp", "%", "s"),
    )
    check_val_every_n_epoch: int | None = option(
        1,
        "int",
        "Validate every so many epochs.",
        group="Trainer",
        nullable=True,
        minimum=1,
        unit="epochs",
        units=("ep",),
    )
    num_sanity_val_steps: int | None = option(
        None,
        "int",
        "Validation batches tried before training, to find errors early; -1 for all.",
        group="Trainer",
        nullable=True,
        minimum=-1,
        unit="batches",
    )
    log_every_n_steps: int | None = option(
        None,
        "int",
        "Write step metrics every so many steps; 0 for never.",
        group="Trainer",
        nullable=True,
        minimum=0,
        unit="steps",
        units=("st", "ba", "sp", "ep", "%"),
    )
    enable_checkpointing: bool | None = option(
        None, "bool", "Save checkpoints while training.", group="Checkpoints", nullable=True
    )
    enable_progress_bar: bool | None = option(
        None, "bool", "Show a progress bar in the terminal.", level="hidden", nullable=True
    )
    enable_model_summary: bool | None = option(
        None, "bool", "Print a table of the layers at the start.", group="Trainer", nullable=True
    )
    accumulate_grad_batches: int = option(
        1,
        "int",
        "Add up the gradients of so many batches before each step: a larger batch in the same memory.",
        group="Optimiser",
        minimum=1,
        unit="batches",
    )
    gradient_clip_val: Any = option(
        None,
        "number",
        "Limit the size of the gradients to this value; prevents sudden jumps.",
        group="Optimiser",
        level="basic",
        nullable=True,
        minimum=0,
    )
    gradient_clip_algorithm: str | None = option(
        None,
        "choice",
        "Clip the norm of all gradients together, or each value.",
        group="Optimiser",
        nullable=True,
        choices=("norm", "value"),
    )
    deterministic: Any = option(
        None,
        "bool",
        "Use only algorithms that give the same result each time; can be slower.",
        group="Hardware",
        nullable=True,
    )
    benchmark: bool | None = option(
        None,
        "bool",
        "Let cuDNN measure which algorithm is fastest; for inputs of constant size.",
        group="Hardware",
        nullable=True,
    )
    inference_mode: bool = option(True, "bool", "Validate and test without autograd bookkeeping.", group="Trainer")
    use_distributed_sampler: bool = option(
        True, "bool", "Give each device its own share of the data.", group="Hardware"
    )
    profiler: Any = option(
        None,
        "choice",
        "Measure where the time goes and write a report.",
        nullable=True,
        choices=("simple", "advanced", "pytorch"),
    )
    detect_anomaly: bool = option(False, "bool", "Find the operation that made a NaN gradient; much slower.")
    barebones: bool = option(
        False, "bool", "Switch off all logging, checkpoints and progress, to measure raw speed.", level="hidden"
    )
    plugins: Any = option(
        None, "object", "Precision, environment and checkpoint plugins.", level="hidden", nullable=True
    )
    sync_batchnorm: bool = option(False, "bool", "Batch statistics over all devices.", group="Hardware")
    reload_dataloaders_every_n_epochs: int = option(
        0,
        "int",
        "Make the data loaders again every so many epochs; 0 for never.",
        group="Data",
        minimum=0,
        unit="epochs",
        units=("ep",),
    )
    default_root_dir: Any = option(None, "str", "Folder for logs and checkpoints.", level="hidden", nullable=True)
    enable_autolog_hparams: bool = option(True, "bool", "Log the hyper-parameters at the start.", level="hidden")
    model_registry: str | None = option(
        None, "str", "Name under which checkpoints are registered.", level="hidden", nullable=True
    )
    randomness: str = option(
        "exact",
        "choice",
        "exact: order, augmentation and dropout follow from the seed and the position, so that a resumed run is the "
        "unbroken one bit for bit and reads nothing twice. stream: the global generators run on, as in plain PyTorch.",
        group="Trainer",
        choices=("exact", "stream"),
    )
    accumulate_by: str = option(
        "batches",
        "choice",
        "How batches share an accumulated step. batches: all alike, as elsewhere. samples, tokens: by their number of "
        "samples or of labels that count, so that the step is the one of a single large batch.",
        group="Optimiser",
        choices=("batches", "samples", "tokens"),
    )
    fit_to_memory: bool = option(
        False,
        "bool",
        "When a step runs out of memory, train on each batch in smaller parts with the same gradients, instead of failing.",
        group="Hardware",
    )


TRAINER_OPTIONS: dict[str, OptionSpec] = specs_of(TrainerOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExtras:
    """What the launcher adds around the trainer: checkpoints, the watched metric, early stopping, the NaN policy, the stage."""

    checkpoint_every: str = option(
        "1ep",
        "duration",
        "How often a checkpoint is saved; the last one is always kept.",
        group="Checkpoints",
        level="basic",
    )
    monitor: str | None = option(
        None,
        "str",
        "Metric that decides which checkpoint is the best, such as val_loss.",
        group="Checkpoints",
        level="basic",
        nullable=True,
    )
    monitor_mode: str = option(
        "min",
        "choice",
        "Whether a lower or a higher value of it is better.",
        group="Checkpoints",
        level="basic",
        choices=("min", "max"),
    )
    early_stopping_patience: int | None = option(
        None,
        "int",
        "Stop when the metric has not become better for so many validations; empty for never.",
        group="Trainer",
        level="basic",
        nullable=True,
        minimum=0,
        unit="validations",
    )
    early_stopping_min_delta: float = option(
        0.0, "float", "A smaller change than this does not count as better.", group="Trainer", minimum=0
    )
    nonfinite: str = option(
        "stop",
        "choice",
        "What happens when the loss or a gradient becomes NaN or infinite. stop: the run fails. skip: that update is "
        "left out. rollback: weights and optimizer go back to the newest checkpoint, and training goes on with the next "
        "batch. continue: nothing is held back.",
        group="Trainer",
        choices=("stop", "skip", "rollback", "continue"),
    )
    ema_decay: float | None = option(
        None,
        "float",
        "Validate and keep a moving average of the weights, which forgets with this factor a step, such as 0.999; empty "
        "for off. Usually steadier and a little better than the last weights (Polyak & Juditsky, 1992).",
        group="Optimiser",
        nullable=True,
        minimum=0.5,
        maximum=0.999999,
    )
    ema_start: str | None = option(
        None,
        "duration",
        "When the average begins: 10%, 500st, 2ep; empty for the first step.",
        group="Optimiser",
        nullable=True,
    )
    finetune_head_epochs: int = option(
        0,
        "int",
        "Of a run that starts from other weights: so many epochs in which only the head and the norms learn, then all "
        "layers do, slower towards the input (Howard & Ruder, 2018). 0 trains everything alike from the first step.",
        label="Fine-tuning: head epochs",
        group="Optimiser",
        minimum=0,
        unit="epochs",
        units=("ep",),
    )
    finetune_spread: float = option(
        3.0,
        "float",
        "How many times slower the first layers learn than the head, with fine-tuning in phases.",
        label="Fine-tuning: spread",
        group="Optimiser",
        minimum=1,
    )
    finetune_peak: float = option(
        5.0,
        "float",
        "How many times the learning rate the fine-tuning cycle reaches at its peak.",
        label="Fine-tuning: peak",
        group="Optimiser",
        minimum=0.001,
    )
    speed: str = option(
        "plain",
        "choice",
        "Compute exactly as written, or try faster ways (fused optimizer, memory layout, TF32, compilation) at the "
        "start and keep those that measure faster here; results may then differ in the last digits.",
        group="Trainer",
        choices=("plain", "auto"),
    )
    stage: str = option(
        "fit",
        "choice",
        "fit trains. The others train nothing: validate and test measure the weights that the run starts from on those "
        "parts of the data, predict writes a table of what they say.",
        label="What it does",
        group="General",
        choices=("fit", "validate", "test", "predict"),
    )


RUN_EXTRAS: dict[str, OptionSpec] = specs_of(RunExtras)
