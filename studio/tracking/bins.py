"""Bins of a line: power-of-two widths that begin at multiples of them, so they nest and do not move.

Bins of fine bins are those of the points themselves, as long as the points of each fine bin were in order of storage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.tracking.columns import Floats, pack, packs, unpack
from studio.tracking.ingest import json_number

POINTS_A_BIN = 64  # of the bins that are stored
MOST_LEVEL = 40  # and least, below zero, of bins of epochs


@dataclass(frozen=True, slots=True)
class Bins:
    """Columns (k,). x and `last` are of each bin's last point in order of storage; low and high are over finite values,
    inf and -inf when there is none; n counts all points."""

    x: Floats
    last: Floats
    low: Floats
    high: Floats
    n: Floats
    nonfinite: Floats


def of_points(x: Floats, y: Floats, size: float) -> Bins:
    """Bins of width `size` in order of x."""
    keys = np.floor(x / size)
    if np.any(keys[1:] < keys[:-1]):
        order = np.argsort(keys, kind="stable")
        x, y, keys = x[order], y[order], keys[order]
    starts = _starts(keys)
    ends = np.r_[starts[1:], x.size]
    n = (ends - starts).astype(np.float64)
    finite = np.isfinite(y)
    if finite.all():
        low, high, good = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts), n
    else:
        low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)
        high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)
        good = np.add.reduceat(finite, starts, dtype=np.float64)
    return Bins(x[ends - 1], y[ends - 1], low, high, n, n - good)


def merged(parts: Sequence[Bins], size: float) -> Bins:
    """Wider bins from finer ones, whose parts are in order of storage."""
    x, last, low, high, n, nonfinite = (
        np.concatenate([getattr(part, name) for part in parts]) for name in Bins.__slots__
    )
    keys = np.floor(x / size)
    if np.any(keys[1:] < keys[:-1]):
        order = np.argsort(keys, kind="stable")
        x, last, low, high, n, nonfinite, keys = (c[order] for c in (x, last, low, high, n, nonfinite, keys))
    starts = _starts(keys)
    ends = np.r_[starts[1:], x.size] - 1
    return Bins(
        x[ends],
        last[ends],
        np.minimum.reduceat(low, starts),
        np.maximum.reduceat(high, starts),
        np.add.reduceat(n, starts),
        np.add.reduceat(nonfinite, starts),
    )


def _starts(keys: Floats) -> NDArray[np.intp]:
    return np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])


def size_for(span: float, width: int) -> float:
    """The least power of two of which about `width` cover the span; 1 for no span."""
    return float(2.0 ** np.ceil(np.log2(span / width))) if span > 0 else 1.0


def level_for(steps: Floats) -> int | None:
    """log2 of the width of the bins of steps that are stored beside these points, about one for POINTS_A_BIN points.

    None where bins would not be those of the points (steps that go back or are no whole numbers) or are not worth it.
    """
    if steps.size < POINTS_A_BIN or np.any(steps[1:] < steps[:-1]) or np.any(np.floor(steps) != steps):
        return None
    return max(0, math.ceil(math.log2(max(float(steps[-1] - steps[0]), 1.0) * POINTS_A_BIN / steps.size)))


def level_for_epochs(epochs: Floats) -> int | None:
    """The same of epochs, whose bins may be narrower than one."""
    if epochs.size < POINTS_A_BIN or not np.isfinite(epochs).all() or np.any(epochs[1:] < epochs[:-1]):
        return None
    span = float(epochs[-1] - epochs[0])
    level = math.ceil(math.log2(span * POINTS_A_BIN / epochs.size)) if 0 < span < math.inf else 0
    return None if level > MOST_LEVEL else max(level, -MOST_LEVEL)


@dataclass(frozen=True, slots=True)
class Grid:
    """The bins that are stored along one axis: their width, the range of x of their points, and which `part` of what is
    stored has them; `shared` is what the bins of all metrics have in common."""

    size: float
    least: float
    greatest: float
    part: int
    shared: bytes | memoryview

    def columns(self) -> tuple[Floats, Floats]:
        """x and n of its bins."""
        x, n = unpack(self.shared, (0, 1))
        return x, n


def pack_axis(steps: Bins, epochs: Bins | None, level: int | None, least: float) -> bytes:
    """What the bins of all metrics share: of steps; and where there are any, `level` and least x of those of epochs, and
    what those share."""
    packed = pack([steps.x, steps.n])
    if epochs is None or level is None:
        return packed
    return packed + pack([np.array([float(level)]), np.array([least])]) + pack([epochs.x, epochs.n])


def pack_values(steps: Bins, epochs: Bins | None) -> bytes:
    """Of one metric: its bins of steps, and of epochs where there are any."""
    found = (steps,) if epochs is None else (steps, epochs)
    return b"".join(pack([one.last, one.low, one.high, one.nonfinite]) for one in found)


def epoch_grid(packed: bytes | memoryview) -> Grid | None:
    """The bins of epochs among what `pack_axis` made."""
    parts = packs(packed)
    if len(parts) < 3:
        return None
    (level,), (least,) = unpack(parts[1], (0, 1))
    (x,) = unpack(parts[2], (0,))
    return Grid(2.0 ** float(level), float(least), float(x[-1]), 1, parts[2])


def unpack_bins(axis: tuple[Floats, Floats], values: bytes | memoryview, part: int) -> Bins:
    """Bins of one metric, from what `pack_axis` and `pack_values` made."""
    last, low, high, nonfinite = unpack(packs(values)[part] if part else values, (0, 1, 2, 3))
    return Bins(axis[0], last, low, high, axis[1], nonfinite)


def bins(x: Floats, y: Floats, width: int) -> dict[str, Any]:
    """At most about `width` bins of points, as a chart gets them."""
    size = size_for(float(x.max() - x.min()), width)
    return drawn(of_points(x, y, size), size)


def drawn(found: Bins, size: float) -> dict[str, Any]:
    """JSON; min and max are null where no value is finite."""
    good = (found.nonfinite < found.n).tolist()
    return {
        "bin": size,
        "x": found.x.tolist(),
        "last": numbers(found.last),
        "min": [v if g else None for v, g in zip(found.low.tolist(), good, strict=True)],
        "max": [v if g else None for v, g in zip(found.high.tolist(), good, strict=True)],
        "n": found.n.astype(np.int64).tolist(),
        "nonfinite": found.nonfinite.astype(np.int64).tolist(),
    }


def numbers(y: Floats) -> list[float | str]:
    return y.tolist() if np.isfinite(y).all() else [json_number(v) for v in y.tolist()]
