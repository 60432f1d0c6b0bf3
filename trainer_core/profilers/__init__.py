"""Profilers: where the time of a run goes; each is imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AdvancedProfiler": "trainer_core.profilers.advanced",
    "PassThroughProfiler": "trainer_core.profilers.base",
    "Profiler": "trainer_core.profilers.base",
    "PyTorchProfiler": "trainer_core.profilers.pytorch",
    "SimpleProfiler": "trainer_core.profilers.simple",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"trainer_core.profilers has no name {name!r}; it offers {', '.join(__all__)}.")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
