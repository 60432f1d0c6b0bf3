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

from studio.tracking.columns import Floats, count_of, pack, packs, unpack
from studio.tracking.ingest import json_number

UNNAMED = 1  # epochs, as tracking.stored numbers the columns of an axis
POINTS_A_BIN = 64  # of the bins that are stored
MOST_LEVEL = 40  # and least, below zero, of bins of epochs and times


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


def level_for_rising(x: Floats) -> int | None:
    """The same of epochs or times, whose bins may be narrower than one."""
    if x.size < POINTS_A_BIN or not np.isfinite(x).all() or np.any(x[1:] < x[:-1]):
        return None
    span = float(x[-1] - x[0])
    level = math.ceil(math.log2(span * POINTS_A_BIN / x.size)) if 0 < span < math.inf else 0
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


@dataclass(frozen=True, slots=True)
class Rising:
    """What rises beside the steps: which column of an axis it is, and log2 of the width of its bins."""

    column: int
    x: Floats
    level: int

    def of_points(self, y: Floats) -> Bins:
        return of_points(self.x, y, 2.0**self.level)


def pack_axis(steps: Bins, others: Sequence[tuple[Rising, Bins]]) -> bytes:
    """What the bins of all metrics share: of steps; and of each of the others its level, least x and column, and what its
    bins share."""
    packed = pack([steps.x, steps.n])
    for rising, found in others:
        head = (rising.level, rising.x[0], rising.column)
        packed += pack([np.array([float(value)]) for value in head]) + pack([found.x, found.n])
    return packed


def pack_values(found: Sequence[Bins]) -> bytes:
    """Of one metric: its bins of steps, and of what else `pack_axis` has."""
    return b"".join(pack([one.last, one.low, one.high, one.nonfinite]) for one in found)


def rising_grid(packed: bytes | memoryview, column: int) -> Grid | None:
    """The bins along a column among what `pack_axis` made; those from before times had bins do not name theirs."""
    parts = packs(packed)
    for number in range(1, len(parts) - 1, 2):
        level, least, *named = (float(value[0]) for value in unpack(parts[number], range(count_of(parts[number]))))
        if (int(named[0]) if named else UNNAMED) == column:
            (x,) = unpack(parts[number + 1], (0,))
            return Grid(2.0**level, least, float(x[-1]), (number + 1) // 2, parts[number + 1])
    return None


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
