"""Attributes that a tuner sets: of the module, its hyper-parameters, or the datamodule, wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def has_attribute(module: Any, name: str) -> bool:
    """Whether one of the places has `name`; dots lead into objects and dictionaries."""
    return next(_places(module, name), None) is not None


def read_attribute(module: Any, name: str) -> Any:
    """The value in the first place that has it: module, its hparams, datamodule, its hparams. AttributeError if none."""
    for place, key in _places(module, name):
        return place[key] if isinstance(place, dict) else getattr(place, key)
    raise AttributeError(
        f"{name!r} is neither in {type(module).__name__}, nor in the datamodule, nor in their hparams."
    )


def write_attribute(module: Any, name: str, value: Any) -> None:
    """Set it in every place that has it. AttributeError if none has."""
    read_attribute(module, name)
    for place, key in list(_places(module, name)):
        if isinstance(place, dict):
            place[key] = value
        else:
            setattr(place, key, value)


def _places(module: Any, name: str) -> Iterator[tuple[Any, str]]:
    trainer = getattr(module, "_trainer", None)
    *path, key = name.split(".")
    for owner in (module, getattr(trainer, "datamodule", None)):
        for place in (owner, getattr(owner, "hparams", None)):
            for step in path:
                place = place.get(step) if isinstance(place, dict) else getattr(place, step, None)
            if place is not None and (key in place if isinstance(place, dict) else hasattr(place, key)):
                yield place, key
