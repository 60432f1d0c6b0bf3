"""Images, sounds, histograms, tables and texts of another tracker, as records of ours and the files that they name."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer_core.events import MAX_MEDIA_BYTES, MOST_MEDIA_ITEMS, finite, sniff

MOST_KEY, MOST_CAPTION, MOST_TABLE_ROWS, MOST_TEXT = 1000, 2000, 10_000, 1 << 20
JSON = "application/json"


@dataclass(frozen=True)
class File:
    data: bytes
    mime: str
    caption: str = ""
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundMedia:
    kind: str
    key: str
    step: float
    time: float
    files: Sequence[File]


def record_of(found: FoundMedia, folder: Path) -> bytes | None:
    """Its record, once its files are in the folder; None when nothing of it can be kept."""
    step = int(min(max(found.step, 0.0), 2.0**53)) if math.isfinite(found.step) else 0
    items = []
    for file in [f for f in found.files if len(f.data) <= MAX_MEDIA_BYTES][:MOST_MEDIA_ITEMS]:
        digest = hashlib.sha256(file.data).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / digest).write_bytes(file.data)
        about = {"mime": file.mime, "caption": file.caption[:MOST_CAPTION], "meta": file.meta}
        items.append({"sha256": digest, "size": len(file.data), **about})
    if not items or not 0 < len(found.key) <= MOST_KEY:
        return None
    told = {"kind": found.kind, "key": found.key, "step": step, "at": step, "epoch": 0, "t": found.time, "items": items}
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")


def of_file(data: bytes, wanted: str, caption: str = "") -> list[File]:
    """An image or a sound (`wanted` is how its type begins); none when it is no such file."""
    mime = sniff(data)
    return [File(data, mime, caption)] if mime.startswith(wanted) else []


def of_json(value: dict[str, Any], meta: dict[str, Any] | None = None) -> list[File]:
    """NaN and infinities as words."""
    return [File(json.dumps(finite(value), ensure_ascii=False).encode("utf-8", "replace"), JSON, meta=meta or {})]


def of_text(text: str) -> list[File]:
    return [File(text[:MOST_TEXT].encode("utf-8", "replace"), "text/plain")]


def of_counts(edges: Sequence[float], counts: Sequence[float]) -> list[File]:
    """A histogram of n counts between n + 1 edges; none for one that does not fit."""
    if len(edges) != len(counts) + 1 or not all(math.isfinite(n) for n in (*edges, *counts)):
        return []
    return of_json({"edges": list(edges), "counts": list(counts), "count": float(sum(counts)), "nonfinite": 0})


def of_limits(limits: Sequence[float], counts: Sequence[float], low: float, high: float) -> list[File]:
    """A histogram of how many are up to each limit and above the one before; empty ends go, since limits may be far away."""
    full = [i for i, n in enumerate(counts) if n > 0]
    if not full:
        return []
    inner, kept = limits[full[0] : full[-1]], counts[full[0] : full[-1] + 1]
    pad = 0.0 if high > low else 0.5
    return of_counts([low - pad, *inner, high + pad], kept)


def of_rows(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[File]:
    kept = [[_cell(value) for value in row] for row in rows[:MOST_TABLE_ROWS]]
    names = [str(column) for column in columns]
    return of_json({"columns": names, "rows": kept, "total": len(rows)}, {"rows": len(rows), "columns": len(names)})


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value if not isinstance(value, str) else value[:1000]
    if isinstance(value, int | float):
        return value if abs(value) <= 2**53 else str(value)
    return str(value)[:1000]
