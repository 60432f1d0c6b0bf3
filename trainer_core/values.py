"""Numbers and other values as people write them, read without running anything."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def parse_number(text: str) -> float:
    """Read `3e-4`, `1/3`, `0.1*2` or `-(1+2)`; ValueError for anything else (names, calls, powers)."""
    if len(text) > 64:
        raise ValueError("too long for a number")

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = value(node.operand)
            return -inner if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return _BINARY[type(node.op)](value(node.left), value(node.right))
        raise ValueError("not a number")

    try:
        return value(ast.parse(text.strip().replace("_", ""), mode="eval").body)
    except (SyntaxError, ZeroDivisionError, RecursionError) as error:
        raise ValueError("not a number") from error


def parse_value(text: str) -> Any:
    """A number, a truth value, a list of such (`[2, [2, 2]]`, or numbers with commas between them), or the text itself."""
    text = text.strip()
    if text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    if text[:1] + text[-1:] in ("[]", "()"):
        try:
            return _as_lists(ast.literal_eval(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text
    if "," in text:
        try:
            return [parse_number(part) for part in text.split(",")]
        except ValueError:
            return text
    try:
        return parse_number(text)
    except ValueError:
        return text


def _as_lists(value: Any) -> Any:
    """Tuples as lists; ValueError for what JSON has no word for."""
    if isinstance(value, list | tuple):
        return [_as_lists(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError("not a plain value")
