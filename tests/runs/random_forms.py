"""Random valid choices of the form, over every field that it has, for models and datasets with options of every kind."""

from __future__ import annotations

import random
from typing import Any

from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs.forms import RunForm
from tests.factories import make_dataset_version, make_model_version, make_project
from trainer_core.options import OptionSpec

PARAMS: list[dict[str, Any]] = [
    {"name": "hidden", "kind": "int", "default": 32, "minimum": 1},
    {"name": "lr", "kind": "float", "default": 0.001, "minimum": 0},
    {"name": "share", "kind": "float", "default": None, "nullable": True, "minimum": 0, "maximum": 1},
    {"name": "deep", "kind": "bool", "default": True},
    {"name": "name", "kind": "str", "default": "plain"},
    {"name": "shape", "kind": "choice", "default": "a", "choices": ["a", "b", 3, None], "nullable": True},
    {"name": "sizes", "kind": "list", "default": [8], "item_kind": "int"},
    {"name": "warm_up", "kind": "duration", "default": "5%", "nullable": True},
    {"name": "words", "kind": "list", "default": [], "item_kind": "str"},
]
TEXTS = (
    "plain",
    "two words",
    "it's",
    'a "b"',
    "5%",
    "none of it",
    "8",
    "true",
    "ümläut 漢",
    "a: b",
    "#1",
    "- x",
    "$HOME `x`",
)
NUMBERS = ("1/3", "3e-4", "0.1*2", "5", "2.5", "1e-8", "(1+2)/4", "0.30000000000000004")
DURATIONS = ("10ep", "500st", "64ba", "1e6sp", "30min", "1h30min", "25%", "0.5ep")


class Forms:
    """`draw(number)` are values, the same for the same number; `form(values)` the form filled in with them."""

    def __init__(self, model: ModelVersion | None = None, dataset: DatasetVersion | None = None) -> None:
        project = make_project()
        self.model = model or make_model_version(project=project, params=PARAMS)
        self.dataset = dataset or make_dataset_version(project=project)
        options = self.form({}).options
        self.options = {name: option for name, option in options.items() if not name.startswith("queue.")}

    def form(self, values: dict[str, str]) -> RunForm:
        return RunForm(values, model_version=self.model, dataset_version=self.dataset)

    def draw(self, number: int) -> dict[str, str]:
        """Some of the fields, each with a value that it takes."""
        generator = random.Random(number)
        share = generator.choice((0.05, 0.2, 0.6, 1.0))
        values = {
            name: _value(option, generator) for name, option in self.options.items() if generator.random() < share
        }
        values["seed"] = str(generator.randrange(2**32))
        return {name: value for name, value in values.items() if _fits(self.options[name], value)}


def _fits(option: OptionSpec, value: str) -> bool:
    try:
        option.parse(None if value == "none" and option.nullable else value)
    except ValueError:
        return False
    return True


def _value(option: OptionSpec, generator: random.Random) -> str:
    if option.nullable and generator.random() < 0.1:
        return "none"
    if option.units and generator.random() < 0.3:
        return generator.choice(
            [d for d in DURATIONS if any(d.endswith(u) for u in option.units if u != "s")] or ["3ep"]
        )
    if option.kind in ("int", "float", "number", "amount"):
        low = option.minimum if option.minimum is not None else -5
        high = min(option.maximum if option.maximum is not None else low + 1000, low + 1000)
        if option.kind == "int":
            return str(generator.randint(int(low), int(high)))
        if generator.random() < 0.4:
            return generator.choice(NUMBERS)
        number = generator.uniform(low, high)
        return str(round(number)) if option.kind == "number" and generator.random() < 0.5 else repr(number)
    if option.kind == "bool":
        return generator.choice(("true", "false"))
    if option.kind == "choice":
        return str(generator.choice([c for c in option.choices if c is not None]))
    if option.kind in ("duration", "time"):
        return generator.choice(DURATIONS if option.kind == "duration" else ("30min", "1h30min", "00:01:30:00"))
    if option.kind == "list":
        pool = ["4", "16", "256"] if option.item_kind == "int" else ["one", "two words", "drei"]
        return ", ".join(generator.choices(pool, k=generator.randint(1, 4)))
    return generator.choice(TEXTS)
