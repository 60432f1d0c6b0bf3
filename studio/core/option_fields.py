"""OptionSpecs as fields of Django forms: the same options as in Python, YAML and REST, with help, bounds and unit."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from trainer_core.errors import OptionError
from trainer_core.options import OptionSpec


class Unset:
    """The value of a field that was left empty: the option keeps its default."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()
NUMBERS = ("int", "float", "number")
NOTHING = "none"
LABELS = {"lr": "Learning rate", "l1": "L1", "l2": "L2"}


class OptionField(forms.Field):
    """Accepts what the option accepts, as text: `3e-4`, `1/3`, `10ep`; cleans to its value, or to UNSET when empty."""

    def __init__(self, spec: OptionSpec, *, initial: Any = UNSET) -> None:
        self.spec = spec
        super().__init__(
            required=spec.required,
            label=spec.label or label_of(spec.name),
            help_text=_help(spec),
            initial=None if initial is UNSET else initial,
            widget=_widget(spec),
        )

    def clean(self, value: Any) -> Any:
        """ValidationError in words that say what was given and what is allowed."""
        if isinstance(value, str):
            value = value.strip()
        if value in (None, ""):
            if self.required:
                raise ValidationError(f"This is needed: {self.spec.allowed()}.")
            return UNSET
        if self._means_nothing(value):
            return None
        try:
            return self.spec.parse(value)
        except OptionError as error:
            raise ValidationError(sentence(error)) from error

    def prepare_value(self, value: Any) -> Any:
        """A value of a specification, or a person's own words, as text of the input."""
        if value is None or isinstance(value, str):
            return value
        if self.spec.kind == "value" and isinstance(value, list):
            return str(value)  # with its brackets, by which it is read as a list again
        if isinstance(self.widget, forms.Select):
            return str(value).lower() if isinstance(value, bool) else str(value)
        return as_text(value)

    def _means_nothing(self, value: Any) -> bool:
        spec = self.spec
        return spec.nullable and isinstance(value, str) and value.lower() == NOTHING and value not in spec.choices


def option_field(spec: OptionSpec, *, initial: Any = UNSET) -> OptionField:
    """`initial` is a value that somebody chose before; the default is shown as the placeholder."""
    if initial is None and spec.nullable and spec.default is not None:
        initial = NOTHING
    return OptionField(spec, initial=initial)


def sentence(error: OptionError) -> str:
    """The error without the option's name, for the place beside its field."""
    text = f"{error.given!r}"
    shown = text if len(text) <= 60 else text[:57] + "…"
    return f"{shown} does not fit: it takes {error.allowed}.{' ' + error.hint if error.hint else ''}"


def label_of(name: str) -> str:
    """`max_epochs` → `Max epochs`."""
    if name in LABELS:
        return LABELS[name]
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def as_text(value: Any) -> str:
    """A value as a person would type it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, list | tuple):
        return ", ".join(as_text(v) for v in value)
    return str(value)


def _help(spec: OptionSpec) -> str:
    bounds = ""
    if spec.kind in NUMBERS:
        if spec.minimum is not None and spec.maximum is not None:
            bounds = f"{_bound(spec.minimum)} to {_bound(spec.maximum)}"
        elif spec.minimum is not None and spec.minimum > 0:
            bounds = f"at least {_bound(spec.minimum)}"
        elif spec.maximum is not None:
            bounds = f"at most {_bound(spec.maximum)}"
    facts = [part for part in (spec.unit, bounds) if part]
    return f"{spec.help} ({', '.join(facts)})".strip() if facts else spec.help


def _bound(value: float) -> str:
    """Whole numbers whole, in groups of three from 10,000 on; others as they are typed."""
    return as_text(value) if value != int(value) or abs(value) >= 1e15 else f"{int(value):,}".replace(",", "\u202f")


def _widget(spec: OptionSpec) -> forms.Widget:
    if spec.kind in ("bool", "choice"):
        return forms.Select(choices=_choices(spec))
    attrs = {"placeholder": "" if spec.required else _placeholder(spec), "autocomplete": "off", "spellcheck": "false"}
    return forms.TextInput(attrs=attrs)


def _placeholder(spec: OptionSpec) -> str:
    return "automatic" if spec.default is None else as_text(spec.default)


def _choices(spec: OptionSpec) -> list[tuple[str, str]]:
    values = [("true", "yes"), ("false", "no")] if spec.kind == "bool" else [(str(c), str(c)) for c in spec.choices]
    if spec.required:
        return [("", "choose…"), *values]
    if spec.nullable and spec.default is not None:
        values.append((NOTHING, "none"))
    default = "automatic" if spec.default is None else f"{as_text(spec.default)} (default)"
    return [("", default), *values]
