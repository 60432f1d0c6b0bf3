"""Projects of several files: kept as one JSON text, written to a folder, imported from there as their authors import them.

The text is `{"path/in/project.py": "its content", …}`; a class is named `path/in/project.py:Class`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
import types
from pathlib import Path, PurePosixPath
from typing import Any

from trainer_core.errors import SpecError

LEFT_OUT = ("tests", "test", "docs", "setup.py", "conftest.py", "examples_test")


def write_project(code: str, folder: Path) -> None:
    """Write the files below `folder`; SpecError for a path that leads elsewhere. Files that are there are left alone."""
    for name, text in json.loads(code).items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise SpecError(f"{name!r} is no path inside of the project.")
        target = folder / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def import_file(folder: Path, name: str) -> types.ModuleType:
    """The module of a project's file, under the name by which its own code imports it.

    The project's folder, its `src`, and the folder above the file's outermost package come first in `sys.path`.
    """
    path = folder / name
    home, parts = path.parent, [path.stem]
    while home != folder and (home / "__init__.py").is_file():
        parts.insert(0, home.name)
        home = home.parent
    for place in (home, folder / "src", folder):
        if place.is_dir() and str(place) not in sys.path:
            sys.path.insert(0, str(place))
    if parts[-1] == "__init__":
        parts.pop()
    return importlib.import_module(".".join(parts))


def load_named(folder: Path, ref: str) -> Any:
    """The class `path.py:Class`, or the function; SpecError if the file has none of that name."""
    name, _, attribute = ref.partition(":")
    found = getattr(import_file(folder, name), attribute, None)
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise SpecError(f"{name} has no class {attribute}.")
    return found


def files_with(folder: Path, wants: str) -> list[str]:
    """Files that seem to define a class of the kind `wants` (model or data), by their text alone, in order.

    A class counts if one of its bases is called LightningModule (or LightningDataModule), or like a class that counts.
    A project of models without one has those of `nn.Module`.
    """
    roots = ("LightningModule", "Module") if wants == "model" else ("LightningDataModule",)
    return next((found for root in roots if (found := _files_below(folder, root))), [])


def _files_below(folder: Path, root: str) -> list[str]:
    bases = {str(p.relative_to(folder)): _bases(p) for p in sorted(folder.rglob("*.py"))}
    known, size = {root}, 0
    while len(known) > size:
        size = len(known)
        known |= {name for classes in bases.values() for name, of in classes.items() if of & known}
    candidates = [n for n, classes in bases.items() if any(of & known for of in classes.values())]
    return [n for n in candidates if not set(PurePosixPath(n).parts) & {*LEFT_OUT}] or candidates


def classes_of(folder: Path, wants: str, only: str = "") -> list[tuple[str, type]]:
    """(`path.py:Class`, class) of all the project defines of that kind; `only` names one of them.

    Of a project without a LightningModule they are those that train its plain networks.
    """
    from trainer_core.describe import classes_in
    from trainer_core.networks.offered import as_module, networks_in

    if only:
        found = load_named(folder, only)
        return [(only, (as_module(found) or found) if wants == "model" else found)]
    modules = [(name, import_file(folder, name)) for name in files_with(folder, wants)]
    named = [(f"{name}:{cls.__name__}", cls) for name, module in modules for cls in classes_in(module, wants)]
    if wants == "model" and not named:
        named = [(f"{name}:{cls.__name__}", cls) for name, module in modules for cls in networks_in(module)]
    return list(dict(named).items())


def _bases(path: Path) -> dict[str, set[str]]:
    """Names of the bases of each class of a file; none for what is no Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {
        node.name: {_last_name(base) for base in node.bases}
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }


def _last_name(node: Any) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
