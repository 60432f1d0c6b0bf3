"""`save_hyperparameters`: the arguments of `__init__`, collected through the call stack."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import types
from argparse import Namespace
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

_given: ContextVar[Sequence[tuple[type, dict[str, Any]]]] = ContextVar("_given", default=())


@contextmanager
def given_hyperparameters(values: Sequence[tuple[type, dict[str, Any]]]) -> Iterator[None]:
    """Inside, `save_hyperparameters` of an object of such a class keeps these values in the place of its arguments'.

    A command line that built an argument from a description keeps the description.
    """
    token = _given.set(values)
    try:
        yield
    finally:
        _given.reset(token)


class AttributeDict(dict[str, Any]):
    """A dict whose keys can be read and written as attributes."""

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError as error:
            raise AttributeError(f"Missing attribute {key!r}") from error

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __repr__(self) -> str:
        if not self:
            return ""
        width = max(len(str(k)) for k in self)
        return "\n".join(f'"{k}":{" " * (width - len(str(k)) + 1)}{v}' for k, v in self.items())


class HyperparametersMixin:
    """Gives `save_hyperparameters`, `hparams` and `hparams_initial`."""

    if TYPE_CHECKING:  # TorchScript would take annotations for those of its own attributes.
        _hparams: Any
        _hparams_initial: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._log_hyperparams = False

    def save_hyperparameters(
        self,
        *args: Any,
        ignore: str | list[str] | None = None,
        frame: types.FrameType | None = None,
        logger: bool = True,
    ) -> None:
        """Keep the arguments of `__init__` in `self.hparams`, in checkpoints and (with `logger`) in the loggers.

        `args` are names of arguments to keep (default: all), or one mapping, namespace or dataclass to keep instead.
        Arguments of subclasses whose `__init__` called this one are kept as well.
        """
        self._log_hyperparams = logger
        current = inspect.currentframe()
        frame = frame or (current.f_back if current else None)
        ignored = {ignore} if isinstance(ignore, str) else set(ignore or ())
        ignored |= {a for a in ignored if isinstance(a, str)}
        if dataclasses.is_dataclass(self) and not args:
            found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if hasattr(self, f.name)}
        else:
            found = _init_arguments(frame, self)
        described = next((values for base, values in _given.get() if isinstance(self, base)), {})
        found = {k: v for k, v in {**found, **described}.items() if k not in ignored}
        if len(args) == 1 and not isinstance(args[0], str):
            chosen: Any = args[0]
            self._hparams_name: str | None = next((k for k, v in found.items() if v is chosen), None)
        elif args:
            chosen = {name: found[name] for name in args if name in found}
            self._hparams_name = "kwargs"
        else:
            chosen, self._hparams_name = found, "kwargs"
        self._set_hparams(chosen)
        for name in [k for k in self.hparams if k in ignored]:
            del self.hparams[name]
        self._hparams_initial = copy.deepcopy(self._hparams)

    def _set_hparams(self, hp: Any) -> None:
        values = _as_attribute_dict(hp)
        if isinstance(getattr(self, "_hparams", None), dict) and isinstance(values, dict):
            self._hparams.update(values)
        else:
            self._hparams = values

    @property
    def hparams(self) -> Any:
        """What `save_hyperparameters` kept; empty before it was called."""
        if not hasattr(self, "_hparams"):
            self._hparams = AttributeDict()
        return self._hparams

    @property
    def hparams_initial(self) -> AttributeDict:
        """A copy of the hyper-parameters as they were saved."""
        if not hasattr(self, "_hparams_initial"):
            return AttributeDict()
        return copy.deepcopy(self._hparams_initial)


def _as_attribute_dict(hp: Any) -> Any:
    if isinstance(hp, Namespace):
        return AttributeDict(vars(hp))
    if dataclasses.is_dataclass(hp) and not isinstance(hp, type):
        return AttributeDict({f.name: getattr(hp, f.name) for f in dataclasses.fields(hp)})
    if isinstance(hp, AttributeDict):
        return hp
    if isinstance(hp, dict):
        return AttributeDict(hp)
    if isinstance(hp, MutableMapping):
        return hp
    raise ValueError(f"save_hyperparameters: got {type(hp).__name__}, allowed are a dict, Namespace or dataclass.")


def _init_arguments(frame: types.FrameType | None, owner: object) -> dict[str, Any]:
    """Arguments of every `__init__` of `owner` on the stack; those of the outermost subclass win."""
    found: dict[str, Any] = {}
    while frame is not None:
        code = frame.f_code
        if code.co_argcount and frame.f_locals.get(code.co_varnames[0]) is owner and code.co_name == "__init__":
            found.update(_arguments_of(frame))
        elif found and code.co_name != "__init__":
            break
        frame = frame.f_back
    return found


def _arguments_of(frame: types.FrameType) -> dict[str, Any]:
    names, _, keywords, values = inspect.getargvalues(frame)
    arguments = {n: values[n] for n in names[1:] if n in values}
    code = frame.f_code
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    arguments.update({n: values[n] for n in keyword_only if n in values})
    if keywords:
        arguments.update(values.get(keywords, {}))
    return {k: v for k, v in arguments.items() if k != "__class__"}
