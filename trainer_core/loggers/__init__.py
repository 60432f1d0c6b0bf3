"""Loggers; each is imported on first use, so that none needs the libraries of the others."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CSVLogger": "trainer_core.loggers.csv",
    "CometLogger": "trainer_core.loggers.comet",
    "DummyLogger": "trainer_core.loggers.base",
    "Logger": "trainer_core.loggers.base",
    "MLFlowLogger": "trainer_core.loggers.mlflow",
    "TensorBoardLogger": "trainer_core.loggers.tensorboard",
    "WandbLogger": "trainer_core.loggers.wandb",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"trainer_core.loggers has no name {name!r}; it offers {', '.join(__all__)}.")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
