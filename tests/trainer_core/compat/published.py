"""The real package's public surface, read from its source without importing it."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOTS = ("pytorch", "fabric")


@dataclass
class Module:
    """`exported` is `__all__` and, for a package, every public name that it takes from the package itself."""

    tree: ast.Module
    exported: set[str] = field(default_factory=set)


def is_installed() -> bool:
    return importlib.util.find_spec("lightning") is not None


@cache
def modules() -> dict[str, Module]:
    """Full name → module, of `lightning.pytorch` and `lightning.fabric`."""
    spec = importlib.util.find_spec("lightning")
    assert spec is not None
    assert spec.origin is not None
    top = Path(spec.origin).parent
    found: dict[str, Module] = {}
    for root in ROOTS:
        for path in sorted((top / root).rglob("*.py")):
            parts = ("lightning", *path.relative_to(top).with_suffix("").parts)
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            if parts[-1] == "__main__" or parts[-1].startswith("__") and not is_package:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found[name] = Module(tree, set(_all(tree)) | (set(_imported(tree)) if is_package else set()))
    return found


def classes(module: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in modules()[module].tree.body if isinstance(node, ast.ClassDef)}


def arguments(owner: ast.ClassDef, method: str = "__init__") -> dict[str, str]:
    """Name → default as source ("" for none) of a method's arguments, without `self`, `*` and `**`."""
    node = next(n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == method)
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = [""] * (len(positional) - len(node.args.defaults)) + [ast.unparse(d) for d in node.args.defaults]
    found = dict(zip([a.arg for a in positional], defaults, strict=True))
    found |= {
        a.arg: "" if d is None else ast.unparse(d)
        for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    return {name: default for name, default in found.items() if name not in ("self", "cls")}


def members(owner: ast.ClassDef) -> set[str]:
    """Public methods and properties that the class itself defines."""
    return {n.name for n in owner.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}


def _all(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def _imported(tree: ast.Module) -> list[str]:
    froms = [n for n in tree.body if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("lightning.")]
    return [a.asname or a.name for n in froms for a in n.names if not (a.asname or a.name).startswith("_")]
