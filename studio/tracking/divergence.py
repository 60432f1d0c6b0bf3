"""Where two curves part: the first step from which their difference stays outside the noise between steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.tracking.columns import Floats

WIDTHS = 3.0  # of the noise that a difference must exceed
MOST_BINS, LEAST_POINTS, STAYS = 200, 4, 3


@dataclass(frozen=True, slots=True)
class Divergence:
    """`step` is None when the curves stay together; `share` is how far into the shorter run it is, 0 to 1."""

    step: float | None
    share: float
    noise: float
    x: Floats
    a: Floats
    b: Floats


def divergence(
    a: tuple[Sequence[float], Sequence[float]], b: tuple[Sequence[float], Sequence[float]]
) -> Divergence | None:
    """Of two curves (steps, finite values), on the steps that both reached. None with too few points to say.

    The noise is the median of the absolute difference between neighbouring points of each curve, as a standard
    deviation (divided by 0.6745 · √2), so that a trend counts for little. A curve has parted at the first point from
    which on STAYS points in a row, and most of the rest, differ by more than WIDTHS times the noise of both together.
    """
    (xa, ya), (xb, yb) = ((np.asarray(x, float), np.asarray(y, float)) for x, y in (a, b))
    if min(xa.size, xb.size) < LEAST_POINTS:
        return None
    low, high = max(xa.min(), xb.min()), min(xa.max(), xb.max())
    if high < low:
        return None
    x = np.union1d(xa, xb)
    x = x[(x >= low) & (x <= high)]
    if x.size > MOST_BINS:
        x = x[np.linspace(0, x.size - 1, MOST_BINS).round().astype(int)]
    if x.size < LEAST_POINTS:
        return None
    va, vb = np.interp(x, xa, ya), np.interp(x, xb, yb)
    noise = float(np.hypot(_noise(ya), _noise(yb)))
    apart = np.abs(va - vb) > max(WIDTHS * noise, 1e-9 * max(float(np.abs(va).max()), float(np.abs(vb).max())))
    first = _first_lasting(apart)
    if first is None:
        return Divergence(None, 1.0, noise, x, va, vb)
    share = 0.0 if high == low else float((x[first] - low) / (high - low))
    return Divergence(float(x[first]), share, noise, x, va, vb)


def _noise(y: Floats) -> float:
    return float(np.median(np.abs(np.diff(y)))) / (0.6745 * 2**0.5)


def _first_lasting(apart: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> int | None:
    for i in np.flatnonzero(apart):
        rest = apart[i:]
        if rest[:STAYS].all() and rest.mean() > 0.5 and (rest.size >= STAYS or rest.size == 1):
            return int(i)
    return None
