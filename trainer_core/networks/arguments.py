"""The arguments of a plain network as fields: its own, those of its configuration class, and how it is trained."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from torch import nn

from trainer_core.describe import Range, argument_texts, is_plain
from trainer_core.networks.passed_on import passed_on
from trainer_core.zoo.facts import CHANNELS, CLASSES, FEATURES, LENGTHS, OUTPUTS, SIDES, VOCABULARY
from trainer_core.zoo.learner import Optimizer, Schedule

CONFIGURATIONS = ("config", "cfg", "conf", "configs", "args", "params", "hparams", "options")
# Names whose meaning is plain enough to take the value from the data even where the network has a default.
KNOWN_BY_DATA = {*FEATURES, *CLASSES, *OUTPUTS, *CHANNELS, *SIDES, *VOCABULARY, *LENGTHS, "input_shape"} - {
    *("classes", "channels", "height", "vocabulary", "max_len", "sequence_length")
}
TRAINED: dict[str, tuple[Any, Any, str]] = {
    "lr": (Annotated[float, Range(1e-8, 10)], 1e-3, "Learning rate at its peak."),
    "weight_decay": (Annotated[float, Range(0, 10)], 1e-4, "Pull of the weights towards zero."),
    "optimizer": (Optimizer, "adamw", "How the weights follow the gradients."),
    "schedule": (Schedule, "one_cycle", "How the learning rate changes over the run."),
}


@dataclass(frozen=True)
class Arguments:
    """`fields` by name as (annotation, default or `empty`, words); those of `from_data` may be left to the data.

    Those of `passed_on` reach the network by the **kwargs of a function.
    """

    maker: Callable[..., nn.Module]
    fields: dict[str, tuple[Any, Any, str]] = field(default_factory=dict)
    configuration: tuple[str, type] | None = None
    from_data: tuple[str, ...] = ()
    passed_on: tuple[str, ...] = ()

    def signature(self) -> inspect.Signature:
        """Required ones that no form can give stay required; what the data knows is None until it does."""
        return inspect.Signature(
            [
                inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d, annotation=a)
                for n, (a, d, _) in self.fields.items()
            ]
        )

    def annotations(self) -> dict[str, Any]:
        return {n: a for n, (a, _, _) in self.fields.items() if a is not inspect.Parameter.empty}

    def defaults(self) -> dict[str, Any]:
        """Those that a checkpoint can hold: numbers, words, truth values, and lists of them."""
        return {n: d for n, (_, d, _) in self.fields.items() if is_plain(d)}

    def words(self) -> str:
        """As the Args of a docstring."""
        lines = [f"    {n}: {words}" for n, (_, _, words) in self.fields.items() if words]
        return "\n".join(["Args:", *lines]) if lines else ""

    def make(self, given: dict[str, Any]) -> nn.Module:
        """The network; arguments that only say how it is trained are left out, and None of `from_data` too."""
        left = {n: self._fitted(n, v) for n, v in given.items() if not (v is None and n in self.from_data)}
        own = {n: v for n, v in left.items() if n in _parameters(self.maker)}
        own |= {n: left[n] for n in self.passed_on if n in left and left[n] != self.fields[n][1]}
        if self.configuration:
            name, kind = self.configuration
            names = {f.name for f in dataclasses.fields(kind)}
            own[name] = kind(**{n: v for n, v in left.items() if n in names})
        return self.maker(**own)

    def _fitted(self, name: str, value: Any) -> Any:
        """Lists, all that JSON and forms have, as the tuples that the network has as its default."""
        default = self.fields[name][1] if name in self.fields else None
        return _as_tuples(value) if isinstance(default, tuple) else value


def arguments_of(maker: Callable[..., nn.Module]) -> Arguments:
    """Of a class of `nn.Module` or a function that returns one."""
    hints, texts = _hints_of(maker), _texts_of(maker)
    fields: dict[str, tuple[Any, Any, str]] = {}
    configuration = None
    for name, parameter in _parameters(maker).items():
        kind = _configuration(maker, name, parameter, hints.get(name))
        if kind is None or configuration is not None:
            fields[name] = (hints.get(name, parameter.empty), parameter.default, texts.get(name, ""))
            continue
        configuration = (name, kind)
        inner, words = _hints_of(kind), _texts_of(kind)
        for one in dataclasses.fields(kind):
            if one.init:
                fields[one.name] = (inner.get(one.name, parameter.empty), _default_of(one), words.get(one.name, ""))
    further = _passed_on(maker, set(fields))
    fields |= further
    from_data = tuple(n for n, (_, default, _) in fields.items() if _is_known_by_data(n, default))
    for name in from_data:
        fields[name] = _left_to_data(*fields[name])
    fields |= {n: trained for n, trained in TRAINED.items() if n not in fields}
    return Arguments(maker, fields, configuration, from_data, tuple(further))


def _parameters(maker: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    every = inspect.signature(maker).parameters.items()
    return {n: p for n, p in every if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)}


def _passed_on(maker: Callable[..., Any], known: set[str]) -> dict[str, tuple[Any, Any, str]]:
    """Fields of what a function makes with its **kwargs; required ones too, as nothing else gives them."""
    found: dict[str, tuple[Any, Any, str]] = {}
    for called, names in passed_on(maker):
        hints, texts, own = _hints_of(called), _texts_of(called), _parameters(called)
        for name in names:
            if name in own and name not in known and name not in found:
                found[name] = (hints.get(name, inspect.Parameter.empty), own[name].default, texts.get(name, ""))
    return found


def _hints_of(owner: Any) -> dict[str, Any]:
    """Resolved annotations; those that cannot be resolved are left out."""
    target = owner.__init__ if inspect.isclass(owner) else owner
    with contextlib.suppress(Exception):
        return typing.get_type_hints(target, include_extras=True)
    return {}


def _texts_of(owner: Any) -> dict[str, str]:
    docs = (owner.__doc__, getattr(owner.__init__, "__doc__", None) if inspect.isclass(owner) else None)
    found: dict[str, str] = {}
    for doc in docs:
        found |= argument_texts(inspect.cleandoc(doc or ""))
    return found


def _configuration(maker: Any, name: str, parameter: inspect.Parameter, hint: Any) -> type | None:
    """The dataclass that an argument takes: annotated, or the only one of the file for an argument called config."""
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        return hint
    if hint is not None or parameter.default is not parameter.empty or name.lower() not in CONFIGURATIONS:
        return None
    home = sys.modules.get(maker.__module__)
    own = [
        v
        for v in vars(home).values()
        if inspect.isclass(v) and dataclasses.is_dataclass(v) and v.__module__ == maker.__module__
    ]
    return own[0] if len(own) == 1 else None


def _default_of(one: dataclasses.Field[Any]) -> Any:
    if one.default is not dataclasses.MISSING:
        return one.default
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return inspect.Parameter.empty


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _is_known_by_data(name: str, default: Any) -> bool:
    """Required ones are left to the data anyway. Channels that are 1 or 3 are those of an image, others are layers."""
    if default is inspect.Parameter.empty:
        return False
    return name in KNOWN_BY_DATA or (name == "channels" and default in (1, 3))


def _left_to_data(hint: Any, default: Any, words: str) -> tuple[Any, Any, str]:
    """The same field, empty until the data fills it."""
    kind = hint if hint is not inspect.Parameter.empty else type(default) if default is not None else Any
    until = "" if default is None else f", or {default} where that does not say"
    return kind | None, None, f"{words} Left empty, it is taken from the data{until}.".strip()
