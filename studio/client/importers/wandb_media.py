"""Media in a history of Weights & Biases: values that name a file of the run's folder, or hold a histogram."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studio.client.importers.found_media import File, FoundMedia, of_counts, of_file, of_json, of_rows

KINDS = {
    "image-file": "image", "images/separated": "image", "audio-file": "audio", "histogram": "histogram",
    "table-file": "table", "plotly-file": "figure",
}  # fmt: skip


def media_of_row(row: Mapping[str, Any], step: float, time: float, folder: Path) -> Iterator[FoundMedia]:
    """Of the values that are objects with a `_type`; what is not known or not there is left out."""
    for key, told in row.items():
        kind = KINDS.get(str(told.get("_type"))) if isinstance(told, dict) else None
        if kind is None:
            continue
        try:
            found = _files_of(kind, told, folder)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if found:
            yield FoundMedia(kind, key, step, time, found)


def _files_of(kind: str, told: Mapping[str, Any], folder: Path) -> list[File]:
    if kind == "histogram":
        counts = [float(n) for n in told["values"]]
        packed = told.get("packedBins")
        edges = (
            told["bins"] if packed is None else [packed["min"] + packed["size"] * i for i in range(packed["count"] + 1)]
        )
        return of_counts([float(e) for e in edges], counts)
    names = told["filenames"] if told["_type"] == "images/separated" else [told["path"]]
    captions = told.get("captions") or [told.get("caption")]
    found = []
    for i, name in enumerate(names):
        data = _read(folder, str(name))
        if kind in ("image", "audio"):
            found += of_file(data, f"{kind}/", str(captions[i] or "") if i < len(captions) else "")
        elif kind == "table":
            table = json.loads(data)
            found += of_rows(table["columns"], table["data"])
        else:
            found += of_json(json.loads(data))
    return found


def _read(folder: Path, name: str) -> bytes:
    """A file below the folder; OSError for any other."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FileNotFoundError(name)
    return path.read_bytes()
