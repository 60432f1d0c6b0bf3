"""Arguments and attributes by name: of an `__init__` on the stack, of a module, its hparams or its datamodule."""

from __future__ import annotations

import inspect
import pickle
import types
from argparse import Namespace
from collections.abc import Iterator, MutableMapping
from typing import Any

from trainer_core.rank import rank_zero_warn


def get_init_args(frame: types.FrameType) -> dict[str, Any]:
    """The arguments of the `__init__` that runs in `frame`, `**kwargs` spread out; {} when it is no method."""
    _, _, keywords, values = inspect.getargvalues(frame)
    if "__class__" not in values:
        return {}
    parameters = inspect.signature(values["__class__"].__init__).parameters
    found = {
        k: values[k] for k, p in parameters.items() if k in values and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    if keywords:
        found |= values.get(keywords, {})
    own = next(iter(parameters), "self")
    return {k: v for k, v in found.items() if k != own}


def is_picklable(obj: object) -> bool:
    try:
        pickle.dumps(obj)
    except (pickle.PicklingError, AttributeError, RuntimeError, TypeError):
        return False
    return True


def clean_namespace(hparams: MutableMapping[str, Any] | Namespace) -> None:
    """Remove, with a warning, every value that cannot be pickled."""
    values = vars(hparams) if isinstance(hparams, Namespace) else hparams
    for name in [name for name, value in values.items() if not is_picklable(value)]:
        rank_zero_warn(f"The hyper-parameter {name!r} cannot be pickled and is removed.")
        del values[name]


def lightning_hasattr(model: Any, attribute: str) -> bool:
    """Whether the module, its hparams or its trainer's datamodule has it; names may be dotted."""
    return any(True for _ in _holders(model, attribute))


def lightning_getattr(model: Any, attribute: str) -> Any:
    """The value in the last place that has it: datamodule, hparams, module. AttributeError where none has."""
    holder, name = _last_holder(model, attribute)
    return holder[name] if isinstance(holder, dict) else getattr(holder, name)


def lightning_setattr(model: Any, attribute: str, value: Any) -> None:
    """Set it wherever it is. AttributeError where it is nowhere."""
    _last_holder(model, attribute)
    for holder, name in list(_holders(model, attribute)):
        if isinstance(holder, dict):
            holder[name] = value
        else:
            setattr(holder, name, value)


def _last_holder(model: Any, attribute: str) -> tuple[Any, str]:
    holders = list(_holders(model, attribute))
    if not holders:
        raise AttributeError(
            f"{attribute!r} is neither in {type(model).__name__}, nor in its hparams, nor in the datamodule."
        )
    return holders[-1]


def _holders(model: Any, attribute: str) -> Iterator[tuple[Any, str]]:
    """(object or dict, name) of every place that has the attribute; dots lead into the objects first."""
    trainer = getattr(model, "_trainer", None)
    *path, name = attribute.split(".")
    for place in (model, getattr(model, "hparams", None), getattr(trainer, "datamodule", None)):
        for step in path:
            place = place.get(step) if isinstance(place, dict) else getattr(place, step, None)
        if name in place if isinstance(place, dict) else place is not None and hasattr(place, name):
            yield place, name
