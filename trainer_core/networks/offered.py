"""Which plain networks a file offers: its classes of `nn.Module`, and the functions that make one, that no other part uses."""

from __future__ import annotations

import ast
import contextlib
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any

from torch import nn

from trainer_core.module import LightningModule
from trainer_core.networks.learner import NetworkLearner, learner_of

NOT_OFFERED = ("_", "test", "main")


def as_module(found: Any) -> type | None:
    """A class that a trainer takes: of a network, or of a function that makes one, its learner; None for anything else."""
    if inspect.isclass(found):
        if issubclass(found, nn.Module) and not issubclass(found, LightningModule):
            return learner_of(found) if _has_forward(found) else None
        return found
    return learner_of(found) if inspect.isfunction(found) and _gives_network(found) else None


def networks_in(module: types.ModuleType) -> list[type[NetworkLearner]]:
    """Learners of the networks that a module of code defines and does not itself use as parts, in the order of its lines.

    Parts are found by name: a class or function that another one mentions is a part of it, so that of a file with layers,
    blocks and a model only the model is left. If everything is a part of something, all are offered.
    """
    own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__}
    classes = [n for n, v in own.items() if _is_network(v) and _has_forward(v)]
    defined = {d.name: d for d in _definitions(module)}
    makers = [n for n, d in defined.items() if isinstance(d, ast.FunctionDef) and n in own and _makes(d, {*classes})]
    offered = [n for n in own if n in classes or n in makers]
    used = {name for n in offered if n in defined for name in _mentioned(defined[n])}
    return [learner_of(own[n]) for n in [n for n in offered if n not in used] or offered]


def network_named(module: types.ModuleType, name: str) -> type[NetworkLearner] | None:
    """The learner of the network, or of the function that makes one, of that name; None if there is none."""
    found = as_module(getattr(module, name, None))
    return found if found is not None and issubclass(found, NetworkLearner) else None


def _gives_network(function: types.FunctionType) -> bool:
    """Whether it says so, or its text makes one of a class of `nn.Module` that its module knows."""
    with contextlib.suppress(Exception):
        told = typing.get_type_hints(function).get("return")
        if inspect.isclass(told) and issubclass(told, nn.Module):
            return True
    classes = {n for n, v in function.__globals__.items() if _is_network(v)}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return False
    return any(_makes(node, classes) for node in tree.body if isinstance(node, ast.FunctionDef))


def _is_network(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, nn.Module)


def _has_forward(cls: type[nn.Module]) -> bool:
    return cls.forward is not nn.Module.forward


def _definitions(module: types.ModuleType) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, SyntaxError, TypeError):
        return
    yield from (node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))


def _makes(function: ast.FunctionDef, classes: set[str]) -> bool:
    """Whether it returns what a call of one of the classes gave, at once or by a name."""
    if function.name.startswith(NOT_OFFERED):
        return False
    made = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _calls(node.value, classes)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return any(_calls(value, classes) or (isinstance(value, ast.Name) and value.id in made) for value in returned)


def _calls(node: ast.expr | None, classes: set[str]) -> bool:
    """Whether it is a call of one of the classes, or of `nn.Sequential`."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        return called.attr == "Sequential"
    return isinstance(called, ast.Name) and called.id in {*classes, "Sequential"}


def _mentioned(definition: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """Names that it reads, without its own."""
    names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    return names - {definition.name}
