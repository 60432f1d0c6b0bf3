"""Which packages are installed, and in which version: questions that projects ask at import."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_IS_WINDOWS = platform.system() == "Windows"
_IS_INTERACTIVE = hasattr(sys, "ps1")
_PYTHON_GREATER_EQUAL_3_11_0 = True
_PYTHON_GREATER_EQUAL_3_10_0 = True


def package_available(package_name: str) -> bool:
    """Whether the package could be imported; it is not."""
    try:
        return importlib.util.find_spec(package_name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def module_available(module_path: str) -> bool:
    """Whether a module inside a package is there; imports what is above it."""
    try:
        importlib.import_module(module_path)
    except ImportError:
        return False
    return True


def compare_version(package: str, op: Callable[[Any, Any], bool], version: str, use_base_version: bool = False) -> bool:
    """`op(installed version, version)`; False when the package is not installed."""
    from packaging.version import Version

    installed = _installed(package)
    if installed is None:
        return False
    found = Version(installed)
    return op(Version(found.base_version) if use_base_version else found, Version(version))


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        pass
    try:
        return str(importlib.import_module(package).__version__)
    except (ImportError, AttributeError):
        return None


class RequirementCache:
    """True in a condition when a requirement such as `"torch>=2.1"` (and its extras) is met; looked up once.

    With `module`, that module can be imported as well. `str()` says what is missing.
    """

    def __init__(self, requirement: str | None = None, module: str | None = None) -> None:
        if not (requirement or module):
            raise ValueError("RequirementCache needs a requirement, a module, or both.")
        self.requirement, self.module = requirement, module
        self.available: bool | None = None
        self.message = ""

    def _look(self) -> bool:
        if self.available is None:
            wrong = _missing(self.requirement) if self.requirement else ""
            if not wrong and self.module and not module_available(self.module):
                wrong = f"The module {self.module!r} cannot be imported."
            self.available = not wrong
            self.message = wrong or f"{self.requirement or self.module} is installed."
        return self.available

    def __bool__(self) -> bool:
        return self._look()

    def __str__(self) -> str:
        self._look()
        return self.message

    __repr__ = __str__


def _missing(requirement: str) -> str:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    installed = _installed(wanted.name)
    if installed is None:
        return f"{requirement} is not installed: pip install -U '{requirement}'."
    if not wanted.specifier.contains(installed, prereleases=True):
        return f"{requirement} is needed, {installed} is installed: pip install -U '{requirement}'."
    return ""


class ModuleAvailableCache(RequirementCache):
    """A RequirementCache that only asks for a module."""

    def __init__(self, module: str) -> None:
        super().__init__(module=module)


class LazyModule:
    """Stands for a module and imports it at the first use of one of its names."""

    def __init__(self, module_name: str, callback: Callable[[], None] | None = None) -> None:
        self._module_name, self._callback = module_name, callback

    def __getattr__(self, name: str) -> Any:
        if self._callback is not None:
            self._callback()
        return getattr(importlib.import_module(self._module_name), name)


def lazy_import(module_name: str, callback: Callable[[], None] | None = None) -> LazyModule:
    return LazyModule(module_name, callback)


def __getattr__(name: str) -> Any:
    """The flags that projects import: `_RICH_AVAILABLE`, `_TORCH_GREATER_EQUAL_2_1`, …"""
    if name.startswith(("_TORCH_GREATER_EQUAL_", "_TORCH_LESS_EQUAL_")):
        operation = operator.ge if "_GREATER_" in name else operator.le
        return compare_version("torch", operation, name.rpartition("EQUAL_")[2].replace("_", "."))
    if name.startswith("_") and name.endswith("_AVAILABLE"):
        package = name[1 : -len("_AVAILABLE")].lower()
        package = {"jsonargparse_signatures": "jsonargparse", "torchmetrics_greater_equal_1": "torchmetrics"}.get(
            package, package
        )
        return package_available(package)
    raise AttributeError(name)
