"""The form of a new run, made from options: of the model, the data, the trainer, and what the launcher adds."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.forms import BoundField

from studio.core.option_fields import UNSET, option_field
from studio.registry.models import DatasetVersion, ModelVersion, Version
from studio.registry.refs import form_options
from studio.runs import queue_options, starts
from studio.runs.models import Checkpoint, FieldRule, Run
from studio.runs.options import rate_option
from studio.runs.queue_options import QUEUE_OPTIONS
from studio.runs.rules import narrowed
from studio.runs.starts import MODES
from studio.runs.submit import SEED, build_spec
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, OptionSpec
from trainer_core.spec import RunSpec

SECTIONS = ("General", "Data", "Model", "Optimiser", "Trainer", "Hardware", "Checkpoints", "Advanced")
MOST_VISIBLE = 25
FIRST = ("data.batch_size", "trainer.max_epochs", "extras.checkpoint_every", "extras.monitor", "extras.monitor_mode")
PARTS = ("model", "data", "trainer", "extras")
MORE_PARTS = (*PARTS, "queue")  # the last is no part of the specification
AIM_STEPS, LEAST_EPOCHS, MOST_EPOCHS, UNKNOWN_EPOCHS = 600, 10, 100, 20
Values = dict[str, Any]


@dataclass
class Section:
    """A group of the form: what everybody sees, and what is folded away."""

    title: str
    shown: list[BoundField] = field(default_factory=list)
    folded: list[BoundField] = field(default_factory=list)

    @property
    def slug(self) -> str:
        return self.title.lower()

    @property
    def opens(self) -> bool:
        """Whether the folded part holds something to look at: an error, or a value that somebody chose."""
        return any(f.errors or (f.value() not in (None, "") and not f.field.disabled) for f in self.folded)


class RunForm(forms.Form):
    """Fields are named `model.lr`, `data.batch_size`, `trainer.max_epochs`, `extras.monitor`; empty means default."""

    name = forms.CharField(
        label="Name", max_length=120, required=False, help_text="Left empty, it is made from the choices."
    )
    note = forms.CharField(
        label="Why",
        required=False,
        max_length=10_000,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="What you want to find out, for those who look at the run later.",
    )
    start = forms.ChoiceField(label="Start from", required=False, choices=())
    start_mode = forms.ChoiceField(label="Take over", required=False, choices=MODES)
    key = forms.CharField(widget=forms.HiddenInput, max_length=64, required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        model_version: ModelVersion,
        dataset_version: DatasetVersion,
        parent: Run | None = None,
        typed: Mapping[str, Any] | None = None,
        checkpoints: Sequence[Checkpoint] = (),
        team: int | None = None,
    ) -> None:
        """`typed` are values that a person has entered into the form of another model or dataset; `checkpoints` those
        that the run may start from."""
        self.model_version, self.dataset_version = model_version, dataset_version
        self.team = team
        self._rules = {rule.field: rule for rule in FieldRule.objects.filter(team=team)} if team is not None else {}
        self._checkpoints = {str(one.pk): one for one in checkpoints}
        start = values_of(parent) if parent else suggestions(model_version, dataset_version)
        initial = {"key": secrets.token_urlsafe(16), **start, **(typed or {})}
        super().__init__(data, initial=initial)
        listed = [(pk, starts.choice_words(one, model_version)) for pk, one in self._checkpoints.items()]
        self.fields["start"].choices = [("", "new weights"), *listed]  # type: ignore[attr-defined]
        for name in ("start", "start_mode"):
            self.fields[name].widget.attrs |= {"class": "form-select", "data-choice": ""}
        self._specs: dict[str, OptionSpec] = {"seed": _seed_option(), **dict(self._options())}
        for name, spec in self._specs.items():
            rule = self._rules.get(name)
            fixed = rule.locked if rule is not None else ""
            spec = narrowed(spec, rule) if rule is not None else spec
            self.fields[name] = option_field(spec, initial=fixed or initial.get(name, UNSET))
            self.fields[name].disabled = bool(fixed)
            self.initial.pop(name, None)
        for name in ("queue.after_checkpoint", *(["queue.after"] if self.follows[1] else [])):
            self.fields[name].widget.attrs["data-choice"] = ""
        before = values_of(parent) if parent else {}
        for name in self._specs if parent else ():
            self.fields[name].widget.attrs["data-was"] = str(self[name].field.prepare_value(before.get(name)) or "")

    def _options(self) -> Iterator[tuple[str, OptionSpec]]:
        parts = {
            "model": form_options(self.model_version),
            "data": form_options(self.dataset_version),
            "trainer": TRAINER_OPTIONS,
            "extras": RUN_EXTRAS,
            "queue": QUEUE_OPTIONS,
        }
        for part, options in parts.items():
            for name, spec in options.items():
                if spec.level != "hidden" and spec.kind != "object":
                    yield f"{part}.{name}", spec

    def sections(self) -> list[Section]:
        """The fields by section: basic ones in sight, at most MOST_VISIBLE of them, the others folded."""
        found = {title: Section(title) for title in SECTIONS}
        found["General"].shown = [self["name"], self["note"], self["seed"]]
        visible = self._visible(MOST_VISIBLE - 3 - 4)  # model, dataset, start and what of it stand above
        for name, spec in self._specs.items():
            if name == "seed":
                continue
            section = found[_section_of(name, spec)]
            (section.shown if name in visible else section.folded).append(self[name])
        return [section for section in found.values() if section.shown or section.folded]

    def _visible(self, most: int) -> set[str]:
        """Required fields, and of the basic ones those that everybody changes, then the others in their order."""
        first = (f"model.{rate_option(self.model_version.option_specs)}", *FIRST)
        names = [name for name in self._specs if name != "seed"]
        needed = [name for name in names if self._specs[name].required]
        basic = [name for name in names if name in first or self._specs[name].level == "basic"]
        ordered = sorted((n for n in basic if n not in needed), key=lambda name: name not in first)
        return {*needed, *ordered[: max(0, most - len(needed))]}

    def chosen(self) -> dict[str, Any]:
        """What `submit_run` takes, from a valid form: only what differs from the defaults."""
        parts: dict[str, Values] = {part: {} for part in MORE_PARTS}
        for name in self._specs:
            part, _, option = name.partition(".")
            if option and self.cleaned_data[name] is not UNSET:
                parts[part][option] = self.cleaned_data[name]
        seed = self.cleaned_data["seed"]
        return {
            "name": self.cleaned_data["name"],
            "note": self.cleaned_data["note"],
            "queueing": parts["queue"],
            "idempotency_key": self.cleaned_data["key"] or None,
            "seed": None if seed is UNSET else seed,
            "start": self.checkpoint,
            "start_mode": self.cleaned_data["start_mode"] or "weights",
            "model_args": parts["model"],
            "data_args": parts["data"],
            "trainer": parts["trainer"],
            "extras": parts["extras"],
        }

    def spec(self) -> RunSpec:
        """The specification that a valid form makes; RunError names the fields that do not fit together."""
        chosen, start = self.chosen(), self.checkpoint
        parts = ("trainer", "model_args", "data_args", "extras", "seed")
        return build_spec(
            model_version=self.model_version,
            dataset_version=self.dataset_version,
            start=None if start is None else starts.start_of(start, chosen["start_mode"]),
            team=self.team,
            **{part: chosen[part] for part in parts},
        )

    @property
    def options(self) -> dict[str, OptionSpec]:
        """By name of the field."""
        return self._specs

    def shown_values(self) -> dict[str, Values]:
        """By part what the fields show and what fits, of a form that need not have been sent; for what looks at it."""
        parts: dict[str, Values] = {part: {} for part in PARTS}
        for name in self._specs:
            part, _, option = name.partition(".")
            if part not in PARTS:
                continue
            try:
                value = self.fields[name].clean(self.fields[name].prepare_value(self[name].value()))
            except forms.ValidationError:
                continue
            if value is not UNSET:
                parts[part][option] = value
        return parts

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that is chosen, in what was sent or at first."""
        return self._checkpoints.get(str(self["start"].value() or ""))

    @property
    def follows(self) -> tuple[str, str]:
        """(number of the run that it comes after, best or last), as they are filled in; empty for nothing."""
        after, which = (str(self[f"queue.{name}"].value() or "").strip() for name in ("after", "after_checkpoint"))
        return after.removeprefix("#"), which

    def refuse(self, errors: Mapping[str, str]) -> None:
        """Show what `submit_run` refused beside its fields."""
        for name, text in errors.items():
            self.add_error(name if name in self.fields else None, text)


def values_of(run: Run) -> Values:
    """What the form shows for a run that is changed: everything that was chosen for it."""
    spec = run.spec
    values: Values = {"name": run.name, "seed": spec.get("seed")}
    values["start"] = str(run.start_checkpoint_id or "")
    values["start_mode"] = (spec.get("start") or {}).get("mode", "weights")
    values |= {f"queue.{name}": value for name, value in queue_options.values_of(run).items() if value is not None}
    for part in PARTS:
        chosen = spec.get(part, {})
        chosen = chosen.get("args", {}) if part in ("model", "data") else chosen
        values |= {f"{part}.{name}": value for name, value in chosen.items()}
    return values


def suggestions(model_version: ModelVersion, dataset_version: DatasetVersion) -> Values:
    """A first try that ends soon and shows something: about AIM_STEPS steps, and the best checkpoint by loss."""
    values: Values = {"trainer.max_epochs": suggested_epochs(dataset_version)}
    if model_version.source == Version.Source.ZOO:
        values["extras.monitor"] = "val_loss"
    return values


def suggested_epochs(dataset_version: DatasetVersion) -> int:
    """So many passes that there are about AIM_STEPS steps, as far as the number of rows is known."""
    rows = dataset_version.schema.get("rows") or dataset_version.info.get("rows")
    batch = dataset_version.option_specs.get("batch_size")
    if not isinstance(rows, int) or rows < 1 or batch is None or not batch.default:
        return UNKNOWN_EPOCHS
    steps = math.ceil(rows / int(batch.default))
    return max(LEAST_EPOCHS, min(MOST_EPOCHS, math.ceil(AIM_STEPS / steps)))


def _seed_option() -> OptionSpec:
    words = "Where all random numbers start: the same seed gives the same run. Left empty, one is drawn and kept."
    return OptionSpec(
        "seed", "int", help=words, group="General", level="basic", nullable=True, maximum=SEED.maximum, minimum=0
    )


def _section_of(name: str, spec: OptionSpec) -> str:
    part = name.partition(".")[0]
    if part == "data":
        return "Data"
    if spec.group in SECTIONS and not (part == "model" and spec.group == "Advanced"):
        return spec.group
    return "Model" if part == "model" else "Advanced"
