"""Looks into a file, a package or the zoo and writes down, as JSON, the modules it holds and their arguments.

`python -m trainer_core.describe ORDER.json OUT.json` with ORDER `{"source": "file"|"project"|"package"|"zoo",
"path"|"ref", "class"?, "wants": "model"|"data"}`; the path of a project is its folder. OUT is `{"classes": [...]}` or `{"error": {"type", "message", "line", "text", "hint"}}`. User
code may print, so nothing is said on stdout; when user code ends the process there is no OUT.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import json
import re
import sys
import traceback
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from trainer_core.layer_table import layer_table
from trainer_core.options import OptionSpec
from trainer_core.projects import classes_of

MODULE_NAME = "user_code"
RECIPES = ("label_smoothing", "class_weights", "mix", "warm_up")
"""Arguments of models that a form folds away: they are off unless somebody asks for them."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, for `Annotated[float, Range(0, 1)]`."""

    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A text that is a duration with a unit, for `Annotated[str | None, Span()]`: it is checked as one."""


def arguments_of(cls: type) -> list[OptionSpec]:
    """The arguments of `cls.__init__` as options: type, default, bounds, choices, help from the Args of its docstring."""
    signature = inspect.signature(cls)
    hints: dict[str, Any] = {}
    with contextlib.suppress(Exception):
        hints = typing.get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    home = next(c for c in cls.__mro__ if "__init__" in c.__dict__)
    texts: dict[str, str] = {}
    for doc in (home.__doc__, cls.__doc__, getattr(home.__init__, "__doc__", None)):  # type: ignore[misc]
        texts |= argument_texts(inspect.cleandoc(doc or ""))
    found = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        found.append(_option(name, parameter, hints.get(name), texts.get(name, "")))
    return found


def _option(name: str, parameter: inspect.Parameter, hint: Any, text: str) -> OptionSpec:
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    kind, more = _kind_of(hint, default)
    if not is_plain(default):
        kind, default, more = "object", None, {}
        required = False
    group = (
        "Optimiser"
        if re.fullmatch(r"(lr|learning_rate|weight_decay|momentum|optimizer|schedule|warm_up|beta.*)", name)
        else "Model"
    )
    return OptionSpec(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        default=list(default) if isinstance(default, tuple) else default,
        help=text,
        group=group,
        level="hidden" if kind == "object" else "advanced" if name in RECIPES else "basic",
        required=required,
        **more,
    )


def _kind_of(hint: Any, default: Any) -> tuple[str, dict[str, Any]]:
    """OptionSpec kind and further fields out of an annotation, or out of the default when there is none."""
    more: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        if any(isinstance(note, Span) for note in notes):
            return "duration", {"nullable": type(None) in get_args(hint)}
        for note in notes:
            if isinstance(note, Range):
                more |= {"minimum": note.minimum, "maximum": note.maximum}
            elif bounds := bounds_of(note):
                more |= bounds
            elif isinstance(note, str):
                more |= {"label": note}
    if get_origin(hint) in (Union, types.UnionType):
        parts = [p for p in get_args(hint) if p is not type(None)]
        more["nullable"] = len(parts) < len(get_args(hint))
        if set(parts) == {int, float}:
            return "number", more
        hint = parts[0] if len(parts) == 1 else None
    if get_origin(hint) is Literal:
        return "choice", {**more, "choices": get_args(hint)}
    if get_origin(hint) in (list, tuple) or hint in (list, tuple):
        inside = [a for a in get_args(hint) if a is not Ellipsis]
        item = _kind_of(inside[0], None)[0] if inside else "str"
        return "list", {**more, "item_kind": item if item in ("int", "float", "str", "bool") else "str"}
    by_type = {bool: "bool", int: "int", float: "float", str: "str"}
    if hint in by_type:
        return by_type[hint], more
    if hint is None or hint is Any or hint is inspect.Parameter.empty:
        if default is None:
            return "value", {**more, "nullable": True}
        return by_type.get(type(default), "list" if isinstance(default, list | tuple) else "str"), more
    return "object", {}


def bounds_of(note: Any) -> dict[str, float]:
    """Bounds that annotations of other packages hold: annotated-types (`Ge`, `Interval`, …) and pydantic (`Field`)."""
    found: dict[str, float] = {}
    for part in (note, *getattr(note, "metadata", ())):
        for name, bound in (("ge", "minimum"), ("gt", "minimum"), ("le", "maximum"), ("lt", "maximum")):
            value = getattr(part, name, None)
            if isinstance(value, int | float):
                found[bound] = value
    return found


def is_plain(value: Any) -> bool:
    """Whether a form and JSON can hold it."""
    if isinstance(value, list | tuple):
        return all(is_plain(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)


def argument_texts(doc: str) -> dict[str, str]:
    """What the Args (Google), Parameters (NumPy) or :param (Sphinx) part of a docstring says of each argument."""
    found: dict[str, str] = {}
    for match in re.finditer(r":param\s+(?:[\w\[\], .]+\s)?(\w+):\s*(.+)", doc):
        found[match[1]] = match[2].strip()
    section = re.search(
        r"^(?:Args|Arguments|Parameters):?[ \t]*\n(?:-+\n)?((?:[ \t]+.*\n?|\n|\w+ ?:.*\n?)+)", doc, re.M
    )
    if section:
        name = ""
        for line in section[1].splitlines():
            entry = re.match(r"\s{0,8}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)", line)
            if entry and (not name or len(line) - len(line.lstrip()) <= 4):
                name = entry[1]
                found[name] = entry[2].strip()
            elif name and line.strip():
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def describe_class(cls: type, wants: str) -> dict[str, Any]:
    """Name, purpose, arguments and hooks of one class, and what it says of its task and input."""
    doc = inspect.cleandoc(cls.__doc__ or "")  # its own: what it inherits says nothing of it
    info: dict[str, Any] = {
        "name": cls.__name__,
        "doc": doc.split("\n\n", 1)[0].replace("\n", " ").strip(),
        "params": [spec.to_dict() for spec in arguments_of(cls)],
        "line": _line_of(cls),
    }
    for name in ("task", "input"):
        value = getattr(cls, name, None)
        if isinstance(value, str | tuple | list):
            info[name] = list(value) if isinstance(value, tuple | list) else value
    names = ("training_step", "validation_step", "test_step", "predict_step") if wants == "model" else (
        "train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader")  # fmt: skip
    info["hooks"] = [
        n
        for n in names
        if any(
            n in base.__dict__
            for base in cls.__mro__
            if base.__module__ != "trainer_core.module" and not base.__module__.startswith("trainer_core.data")
        )
    ]
    if wants == "model":
        info |= layer_table(cls)
    return info


def _line_of(cls: type) -> int | None:
    try:
        arguments = getattr(cls, "arguments", None)
        return inspect.getsourcelines(getattr(arguments, "maker", cls))[1]
    except (OSError, TypeError):
        return None


def load_file(path: Path, name: str = MODULE_NAME) -> types.ModuleType:
    """Run a Python file as a module of its own name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def classes_in(module: types.ModuleType, wants: str, *, own: bool = True) -> list[type]:
    """Classes of the wanted kind that the module defines, in the order of its lines."""
    from trainer_core.datamodule import LightningDataModule
    from trainer_core.module import LightningModule

    base: type = LightningModule if wants == "model" else LightningDataModule
    found = [
        c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, base) and c is not base and (not own or c.__module__ == module.__name__)
    ]
    return list(dict.fromkeys(found))


def describe(order: dict[str, Any]) -> dict[str, Any]:
    """Answer an order; errors of user code become `{"error": …}`."""
    from trainer_core.compat import lightning

    lightning.install()
    wants, source = order.get("wants", "model"), order["source"]
    path = Path(order["path"]) if source in ("file", "project") else None
    named: list[tuple[str, type]] = []
    classes: list[type] = []
    try:
        if source == "zoo":
            from trainer_core import zoo

            classes = [getattr(zoo, order["ref"])]
        elif source == "package":
            name, _, cls = order["ref"].partition(":")
            classes = [_trainable(getattr(importlib.import_module(name), cls), wants)]
        elif source == "project":
            path = Path(order["path"])
            named = classes_of(path, wants, order.get("class") or "")
        else:
            assert path is not None
            ast.parse(path.read_bytes(), filename=str(path))
            classes = _offered(load_file(path), wants, order.get("class") or "")
    except BaseException as error:
        return {"error": error_of(error, path)}
    if source != "project":
        named = [(c.__name__, c) for c in classes]
    if not named:
        return {"error": _nothing_found(wants)}
    return {"classes": [{**describe_class(cls, wants), "name": name} for name, cls in named]}


def _offered(module: types.ModuleType, wants: str, only: str) -> list[type]:
    """What a file has of that kind, and where it has no LightningModule its plain networks; `only` names one of them."""
    from trainer_core.networks.offered import network_named, networks_in

    classes = classes_in(module, wants)
    if chosen := [c for c in classes if c.__name__ == only]:
        return chosen
    if wants == "model" and only and (network := network_named(module, only)) is not None:
        return [network]
    return classes or (list(networks_in(module)) if wants == "model" else [])


def _trainable(found: Any, wants: str) -> Any:
    from trainer_core.networks.offered import as_module

    known = as_module(found) if wants == "model" else found
    if not inspect.isclass(known):
        raise TypeError(f"{getattr(found, '__name__', found)!r} is no class, nor a function that makes an nn.Module.")
    return known


def _nothing_found(wants: str) -> dict[str, Any]:
    word = "LightningModule" if wants == "model" else "LightningDataModule"
    plain = " or nn.Module" if wants == "model" else ""
    return {
        "type": "NothingFound",
        "message": f"No class in this file extends {word}{plain}.",
        "line": None,
        "text": None,
        "hint": f"Write `class MyModel({word}):` with the import `from trainer_core import {word}` "
        f"(or from lightning.pytorch, or pytorch_lightning).",
    }


def error_of(error: BaseException, path: Path | None) -> dict[str, Any]:
    """Type, message, the line of the user's file, its text, and what to do."""
    line, text, hint, where = None, None, "", ""
    if isinstance(error, SyntaxError):
        line, text = error.lineno, (error.text or "").rstrip("\n")
        if path is not None and path.is_dir() and error.filename:
            where = error.filename.removeprefix(str(path)).lstrip("/")
        message, hint = error.msg, "Correct the line and save again."
    else:
        message = str(error) or type(error).__name__
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if path is not None and (frame.filename == str(path) or Path(frame.filename).is_relative_to(path)):
                line, text = frame.lineno, frame.line
                where = frame.filename.removeprefix(str(path)).lstrip("/")
                break
    if isinstance(error, ModuleNotFoundError):
        hint = f"Install the package in the studio's environment: pip install {(error.name or '').split('.')[0]}."
    elif isinstance(error, SystemExit):
        message, hint = (
            "The file ends the program while it is imported.",
            "Put that under `if __name__ == '__main__':`.",
        )
    elif isinstance(error, UnicodeDecodeError | ValueError) and line is None and not isinstance(error, SyntaxError):
        hint = "Save the file as UTF-8 text."
    found = {"type": type(error).__name__, "message": message, "line": line, "text": text, "hint": hint}
    return {**found, "file": where} if where else found


def manifest() -> dict[str, Any]:
    """The zoo as `{"models": {name: description}, "data": {…}}`; committed, so that the studio needs no torch to know it."""
    from trainer_core import zoo

    described = {
        part: {name: describe({"source": "zoo", "ref": name, "wants": wants})["classes"][0] for name in names}
        for part, names, wants in (("models", zoo.MODELS, "model"), ("data", zoo.DATA, "data"))
    }
    for entries in described.values():
        for entry in entries.values():
            entry.pop("line")
    return described


def main(arguments: list[str]) -> int:
    order = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    out = Path(arguments[1])
    answer = describe(order)
    temporary = out.with_suffix(".part")
    temporary.write_text(json.dumps(answer), encoding="utf-8")
    temporary.replace(out)
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    from trainer_core import describe as imported  # one module only: what code annotates with its Range is a Range here

    sys.exit(imported.main(sys.argv[1:]))
