"""What a function takes as **kwargs and passes on, such as `def tiny(**kwargs): return Net(depth=3, **kwargs)`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

DEEPEST = 4  # functions that pass on to functions


def passed_on(maker: Callable[..., Any], depth: int = DEEPEST) -> Iterator[tuple[Callable[..., Any], list[str]]]:
    """(what is called with them, names of its arguments that are free); nothing where the text does not show it."""
    kwargs = [p.name for p in inspect.signature(maker).parameters.values() if p.kind is p.VAR_KEYWORD]
    if not (kwargs and inspect.isfunction(maker) and depth):
        return
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(maker))).body[0]
    except (OSError, SyntaxError, TypeError, IndexError):
        return
    carriers: dict[str, set[str]] = {kwargs[0]: set()}
    for node in ast.walk(function):  # such as: given = dict(depth=3, **kwargs)
        bound = _bound(node.value, carriers) if isinstance(node, ast.Assign) else None
        if bound is not None and isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            carriers[node.targets[0].id] = bound
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)) or node.func.id == "dict":
            continue
        called, bound = maker.__globals__.get(node.func.id), _bound(node, carriers)
        if bound is None or not (inspect.isclass(called) or inspect.isfunction(called)):
            continue
        try:
            every = list(inspect.signature(called).parameters.values())[len(node.args) :]
        except ValueError:  # of a built-in class
            continue
        own = [p.name for p in every if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        yield called, [name for name in own if name not in bound]
        for further, names in passed_on(called, depth - 1):
            yield further, [name for name in names if name not in {*bound, *own}]
        return


def _bound(node: ast.expr, carriers: dict[str, set[str]]) -> set[str] | None:
    """Names that are given beside what is carried; None where nothing of it is."""
    if isinstance(node, ast.Name):
        return carriers.get(node.id)
    if not isinstance(node, ast.Call):
        return None
    inner = [k.value for k in node.keywords if k.arg is None]
    if isinstance(node.func, ast.Name) and node.func.id == "dict":
        inner += node.args
    found = [bound for value in inner if (bound := _bound(value, carriers)) is not None]
    return {k.arg for k in node.keywords if k.arg}.union(*found) if found else None
