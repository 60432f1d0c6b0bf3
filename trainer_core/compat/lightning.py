"""Lets code that imports Lightning run unchanged: its import paths, mapped onto this engine.

`install()` makes `lightning`, `lightning.pytorch`, `pytorch_lightning`, `lightning.fabric` and `lightning_utilities`
resolve to ours in this process; or run a script so: `python -m trainer_core.compat.lightning script.py arguments…`
(`-m package.module` for a module). It is a map of names (`names.py`); what the engine does not offer is refused by
name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import runpy
import sys
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trainer_core.compat.names import MAP
from trainer_core.compat.refusals import REFUSED

VERSION = "2.6.6"  # whose surface is offered
# Import root → path in the map. The last one is offered only where the real package is not installed: other packages
# depend on it, and it trains nothing.
ROOTS = {
    "lightning.pytorch": "",
    "pytorch_lightning": "",
    "lightning.fabric": "fabric",
    "lightning_fabric": "fabric",
    "lightning": "",
    "lightning_utilities.core": "utilities_core",
    "lightning_utilities": "utilities_core",
}
PACKAGES = {root.split(".")[0] for root in ROOTS}


class _Alias(types.ModuleType):
    """A module whose names are looked up in ours, one by one, when they are asked for."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, f"{name}, as offered by trainer_core.")
        self.__path__: list[str] = []
        self.__file__ = __file__
        self._path = path
        if path in ("", "fabric", "utilities_core"):
            self.__version__ = VERSION

    def __getattr__(self, name: str) -> Any:
        if not (name.startswith("__") and name.endswith("__")):
            for place in MAP.get(self._path, ()):
                found = _find(place, name)
                if found is not _MISSING:
                    return found
            full = f"{self.__name__}.{name}"
            if _path_of(full) is not None:
                return importlib.import_module(full)
        if name == "__all__":
            return self.__dir__()
        raise AttributeError(_words(self.__name__, name))

    def __dir__(self) -> list[str]:
        names = {name for place in MAP.get(self._path, ()) for name in _names_of(place)}
        return sorted(name for name in names if name not in REFUSED and hasattr(self, name))


_MISSING = object()


def _find(place: str, name: str) -> Any:
    """The object that an entry of the map offers under `name`, or _MISSING."""
    module, _, names = place.partition(":")
    if names:
        pairs = {n.split("=")[0]: n.split("=")[-1] for n in names.split()}
        if name not in pairs:
            return _MISSING
        name = pairs[name]
    return getattr(_module(module), name, _MISSING)


def _names_of(place: str) -> Iterable[str]:
    module, _, names = place.partition(":")
    if names:
        return [n.split("=")[0] for n in names.split()]
    found = _module(module)
    return getattr(found, "__all__", None) or [n for n in vars(found) if not n.startswith("_")] if found else []


def _module(name: str) -> types.ModuleType | None:
    """Our module; None when this version of the engine does not have it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            return None
        raise


def _path_of(name: str) -> str | None:
    """The path in the map of a full module name; None when it is not ours to answer."""
    for root, prefix in ROOTS.items():
        if name == root:
            return prefix
        if name.startswith(f"{root}."):
            path = f"{prefix}.{name[len(root) + 1 :]}".strip(".")
            if any(key == path or key.startswith(f"{path}.") for key in MAP):
                return path
    return None


def _words(module: str, name: str) -> str:
    full = f"{module}.{name}" if module else name
    reason = REFUSED.get(name) or next((REFUSED[path] for path in _refused_paths(full)), "")
    text = f"{full} is not offered by trainer_core's Lightning surface"
    return f"{text}; {reason}." if reason else f"{text}."


def _refused_paths(name: str) -> Iterable[str]:
    """The refused paths of the map that a full name lies in."""
    for root, prefix in ROOTS.items():
        if name.startswith(f"{root}."):
            parts = f"{prefix}.{name[len(root) + 1 :]}".strip(".").split(".")
            paths = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
            return [path for path in paths if path in REFUSED]
    return []


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, packages: set[str]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in self.packages:
            return None
        if _path_of(fullname) is None:
            module, _, name = fullname.rpartition(".")
            # Without its `name`, `from lightning.pytorch import Missing` raises this error and not one without words.
            raise ModuleNotFoundError(_words(module, name))
        return importlib.machinery.ModuleSpec(fullname, self, origin=__file__, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        path = _path_of(spec.name)
        assert path is not None
        return _Alias(spec.name, path)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is executed: names are looked up when asked for."""

    def find_distributions(self, context: Any) -> Iterable[importlib.metadata.Distribution]:
        """Says that the packages are installed, in the version whose surface is offered."""
        wanted = (context.name or "").lower().replace("-", "_")
        return [_Distribution(wanted)] if wanted in self.packages else []


class _Distribution(importlib.metadata.Distribution):
    def __init__(self, name: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Any:
        return Path(__file__).parent / path


def install() -> None:
    """Make Lightning's import paths resolve to this engine; again is harmless.

    RuntimeError when the real package has been imported in this process already.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name in ("lightning", "pytorch_lightning", "lightning_fabric"):
        if name in sys.modules:
            raise RuntimeError(f"The real {name} package is imported already; call install() before its first import.")
    packages = set(PACKAGES)
    if importlib.util.find_spec("lightning_utilities") is not None:
        packages.discard("lightning_utilities")
    sys.meta_path.insert(0, _Finder(packages))
    from trainer_core.checkpoint import state

    state.KEEP_OBJECTS = True  # code written for Lightning asks for them when it loads with weights_only=False


def main() -> None:
    """Run a script or module with `sys.argv` as if it had been started itself."""
    arguments = sys.argv[1:]
    if not arguments or arguments == ["-m"]:
        sys.exit("usage: python -m trainer_core.compat.lightning script.py arguments…   (or: -m module arguments…)")
    install()
    from trainer_core.environments import lightning

    lightning.RUNNER[:] = ["-m", "trainer_core.compat.lightning"]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
