"""Finds a learning rate or a batch size by trials that leave no trace; each part is imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "LearningRateRange": "trainer_core.tuner.lr_find",
    "Tuner": "trainer_core.tuner.tuning",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"trainer_core.tuner has no name {name!r}; it offers {', '.join(__all__)}.")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
