"""Which checkpoints of a ModelCheckpoint a logger has not uploaded yet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def checkpoints_of(callback: Any, uploaded: Mapping[str, float]) -> list[tuple[float, str, Any, str]]:
    """(mtime, path, score, tag) of new or rewritten files, oldest first; tag is best, latest or top_k."""
    found: dict[str, tuple[Any, str]] = {}
    if path := getattr(callback, "last_model_path", ""):
        found[path] = (callback.current_score, "latest")
    for path, score in getattr(callback, "best_k_models", {}).items():
        found[path] = (score, "top_k")
    if path := getattr(callback, "best_model_path", ""):
        found[path] = (callback.best_model_score, "best")
    rows = [(os.path.getmtime(p), p, score, tag) for p, (score, tag) in found.items() if os.path.isfile(p)]
    return sorted((r for r in rows if uploaded.get(r[1], 0.0) < r[0]), key=lambda r: r[0])
