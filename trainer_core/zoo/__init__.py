"""Models and data that come with the engine: for first runs, for tables without code, and for tests."""

from __future__ import annotations

import importlib
from typing import Any

MODELS = {
    "TabularMLP": "trainer_core.zoo.tabular",
    "ImageCNN": "trainer_core.zoo.images",
    "ResNet": "trainer_core.zoo.images",
    "CharTransformer": "trainer_core.zoo.characters",
    "Autoencoder": "trainer_core.zoo.autoencoder",
    "TextClassifier": "trainer_core.zoo.sentences",
}
DATA = {
    "Digits": "trainer_core.zoo.tables",
    "BreastCancer": "trainer_core.zoo.tables",
    "Diabetes": "trainer_core.zoo.tables",
    "Wine": "trainer_core.zoo.tables",
    "TinyText": "trainer_core.zoo.texts",
    "CSVTable": "trainer_core.zoo.tables",
    "ParquetTable": "trainer_core.zoo.columnar",
    "JSONLTable": "trainer_core.zoo.columnar",
    "ArrayFile": "trainer_core.zoo.arrays",
    "ImageZip": "trainer_core.zoo.pictures",
    "TextFile": "trainer_core.zoo.texts",
    "TextLines": "trainer_core.zoo.lines",
}
__all__ = [*MODELS, *DATA]


def __getattr__(name: str) -> Any:
    home = {**MODELS, **DATA}.get(name)
    if home is None:
        raise AttributeError(f"the zoo has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(home), name)
