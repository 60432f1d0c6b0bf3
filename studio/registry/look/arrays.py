"""Looks at .npy and .npz files: shapes, types and statistics of each array; pickled objects are never read."""

from __future__ import annotations

import ast
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from studio.registry.look.archive import open_archive, shown
from studio.registry.look.found import Found, label_facts
from studio.registry.tables.reading import TableError

ONLY = "array"
MAX_ARRAYS = 100
MAX_BYTES = 16 << 30
MAX_UNPACKED, MAX_RATIO = 4 << 30, 1100  # arrays of zeros are shrunk a thousandfold, and are no bomb by that
MAX_HEADER = 64 << 10
SAMPLE = 1_000_000
BINS = 20
MIN_EXAMPLES = 4
_INPUTS = ("x", "data", "features", "inputs", "images", "x_train", "arr_0", "array")
_TARGETS = ("y", "target", "targets", "labels", "label", "classes", "y_train", "arr_1")
MAGIC = b"\x93NUMPY"


def look_at_arrays(path: Path) -> Found:
    """TableError for objects, headers that lie, or no array that could be the input."""
    with open(path, "rb") as file:
        head = file.read(6)
    if head == MAGIC:
        arrays = {ONLY: _checked(path.open("rb"), path.stat().st_size, ONLY)}
        loaded: dict[str, Any] = {ONLY: np.load(path, mmap_mode="r", allow_pickle=False)}
    elif head[:4] == b"PK\x03\x04":
        with open_archive(path, max_bytes=MAX_UNPACKED, max_ratio=MAX_RATIO) as archive:
            arrays = _entries(archive)
        loaded = dict.fromkeys(arrays)
    else:
        raise TableError("This is neither a .npy nor a .npz file.", hint="Save the arrays with numpy.savez.")
    described, labels = [], {}
    rows = {name: shape[0] for name, (shape, _) in arrays.items() if shape}
    for name, (shape, dtype) in arrays.items():
        array = loaded[name] if loaded[name] is not None else np.load(path, allow_pickle=False)[name]
        described.append({**_describe(name, array), "shape": list(shape), "dtype": str(dtype)})
        flat = shape and math.prod(shape[1:]) == 1
        if flat and shape[0] <= 50_000_000:
            labels[name] = label_facts([str(v) for v in np.asarray(array).reshape(-1).tolist()])
        elif len(shape) == 2 and shape[1] > 1 and dtype.kind in "biuf":
            labels[f"last:{name}"] = label_facts([str(v) for v in np.asarray(array[:, -1]).tolist()])
        del array
    return _found(described, labels, rows, arrays)


def _found(described: list[dict[str, Any]], labels: Any, rows: dict[str, int], arrays: dict[str, Any]) -> Found:
    numeric = [n for n, (shape, dtype) in arrays.items() if dtype.kind in "biuf" and len(shape) >= 1]
    y = _named(_TARGETS, [n for n in labels if n in arrays])
    inputs = [n for n in numeric if n != y and (len(arrays[n][0]) > 1 or not y)] or [n for n in numeric if n != y]
    x = _named(_INPUTS, inputs) or max(inputs, key=lambda n: math.prod(arrays[n][0]), default="")
    if not y and len(rows) > 1:
        y = next((n for n in labels if n in arrays and n != x and rows[n] == rows.get(x)), "")
    if not x or rows[x] < MIN_EXAMPLES:
        raise TableError(f"No array holds {MIN_EXAMPLES} or more examples of numbers along its first axis.")
    if y and rows[y] != rows[x]:
        text = f"{shown(x)} has {rows[x]:,} examples and {shown(y)} has {rows[y]:,}; they have to be as many."
        raise TableError(text, hint="Save them so that their first axes agree.")
    if not y and f"last:{x}" not in labels:
        text = f"There is no array with one target for each of the {rows[x]:,} examples of {shown(x)}."
        raise TableError(text, hint="Save inputs and targets together: numpy.savez('data.npz', x=x, y=y).")
    facts = labels[y or f"last:{x}"]
    counts = facts["counts"]
    whole = arrays[y][1].kind in "biuSU" if y else all(float(v).is_integer() for v, _ in counts)
    few = bool(counts) and len(counts) <= 100 and (whole or not facts["numeric"])
    task = "classification" if few else "regression"
    args = {
        "x": x,
        "y": y,
        "task": task,
        "layout": layout_of(arrays[x][0]),
        "val_fraction": 0.2,
        "test_fraction": 0.0,
        "stratify": task == "classification" and min((n for _, n in counts), default=0) > 1,
        "split_seed": 0,
    }
    targets = [n for n in labels if n in arrays and rows[n] == rows[x]]
    choices = {"x": inputs, "y": targets or [""]}
    schema = {"arrays": described, "rows": rows[x], "notices": []}
    return Found("ArrayFile", schema, {}, args, choices, labels)


def layout_of(shape: tuple[int, ...]) -> str:
    """How arrays of this shape are most likely meant."""
    if len(shape) == 4:
        return "channels_first" if shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4) else "channels_last"
    return "grey" if len(shape) == 3 and min(shape[1:]) >= 8 else "flat"


def _named(wanted: tuple[str, ...], names: list[str]) -> str:
    return next((n for w in wanted for n in names if n.lower() == w), "")


def _entries(archive: zipfile.ZipFile) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    infos = [i for i in archive.infolist() if not i.is_dir()]
    if not infos or len(infos) > MAX_ARRAYS:
        raise TableError(f"The file holds {len(infos)} arrays; 1 to {MAX_ARRAYS} are read.")
    found = {}
    for info in infos:
        if not info.filename.endswith(".npy") or "/" in info.filename:
            raise TableError(f"{shown(info.filename)} is no array.", hint="Save the arrays with numpy.savez.")
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as file:
            found[name] = _checked(file, info.file_size, name)
    return found


def _checked(file: IO[bytes], size: int, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """(shape, dtype) of a .npy, if it is exactly as long as they say and holds plain values."""
    with file:
        head = file.read(12)
        if head[:6] != MAGIC or head[6] not in (1, 2, 3):
            raise TableError(f"The array {shown(name)} is damaged: it does not begin as one.")
        wide = head[6] > 1
        length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
        if length > MAX_HEADER:
            raise TableError(f"The array {shown(name)} has a header of {length:,} bytes.")
        text = (b"" if wide else head[10:]) + file.read(length - (0 if wide else 2))
    try:
        described = ast.literal_eval(text.decode("latin-1").strip())
        shape, dtype = tuple(described["shape"]), np.lib.format.descr_to_dtype(described["descr"])
        plain = all(type(n) is int and n >= 0 for n in shape)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise TableError(f"The array {shown(name)} has a header that cannot be read.") from error
    if dtype.hasobject:
        text_ = f"The array {shown(name)} holds pickled Python objects, which may run code and are never read."
        raise TableError(text_, hint="Save it as numbers or text: array.astype(float), or astype(str).")
    if dtype.kind not in "biufSU":
        raise TableError(f"The array {shown(name)} has the type {dtype}; numbers and text are read.")
    start = 10 + length + (2 if wide else 0)
    if not plain or start + math.prod(shape) * dtype.itemsize != size:
        raise TableError(f"The array {shown(name)} says it has the shape {shape}, which its bytes do not fit."[:300])
    if size > MAX_BYTES:
        raise TableError(f"The array {shown(name)} has {size:,} bytes; at most {MAX_BYTES:,} are read.")
    return shape, dtype


def _describe(name: str, array: Any) -> dict[str, Any]:
    """As `Column.describe` tells of a column, of up to a million values."""
    values = np.asarray(array).reshape(-1)
    step = max(1, len(values) // SAMPLE)
    some = values[::step]
    found: dict[str, Any] = {"name": name, "type": "category", "missing": 0, "not_finite": 0, "notices": []}
    distinct = len(np.unique(some))
    found |= {"distinct": distinct, "distinct_is_exact": step == 1}
    if values.dtype.kind not in "biuf":
        return found
    wide = some.astype(np.float64)
    missing = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
    finite = wide[np.isfinite(wide)]
    found |= {"type": "number" if distinct > 1 else "constant", "missing": missing}
    if not len(finite):
        return found | {"type": "empty"}
    low, high = float(finite.min()), float(finite.max())
    found |= {"whole": values.dtype.kind in "biu", "min": low, "max": high, "mean": float(finite.mean())}
    found |= {"std": float(finite.std()), "quartiles": [float(q) for q in np.quantile(finite, (0.25, 0.5, 0.75))]}
    if low < high and math.isfinite(high - low):
        counts, _ = np.histogram(finite, bins=BINS, range=(low, high))
        found["histogram"] = {"low": low, "high": high, "counts": counts.tolist()}
    return found
