"""A learning-rate range test as a picture and as suggestions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from studio.runs.crosscheck import Advice
from studio.runs.diff import show

WIDTH, TOP, BOTTOM, SIDE = 600, 12, 168, 16


@dataclass(frozen=True, slots=True)
class Suggestion(Advice):
    value: str = ""


def suggestions(found: dict[str, Any], rate_field: str) -> list[Suggestion]:
    """The steepest first; with a repair where the model has a field for it."""
    told = []
    for key, words in (
        ("steepest", "The loss falls most steeply at {}: a good rate at the peak of a schedule."),
        ("tenth_of_least", "A tenth of the rate with the least loss is {}: the other common choice."),
    ):
        rate = found.get(key)
        if isinstance(rate, int | float) and rate > 0:
            short = float(f"{rate:.2g}")
            repair = {f"model.{rate_field}": short} if rate_field else {}
            told.append(Suggestion(words.format(show(short)), repair, show(short)))
    return told


def curve(found: dict[str, Any]) -> dict[str, Any] | None:
    """Points of a line in a picture of 600 x 200, ticks at powers of ten, and the suggested rates; None without two."""
    points = [(r, y) for r, y in zip(found.get("lr", ()), found.get("loss", ()), strict=True) if r and y is not None]
    points = points[5:]  # the running mean has to settle
    if len(points) < 2:
        return None
    low, high = _range([y for _, y in points])
    first, last = math.log10(points[0][0]), math.log10(points[-1][0])

    def x(rate: float) -> float:
        return round(SIDE + (math.log10(rate) - first) / (last - first) * (WIDTH - 2 * SIDE), 1)

    def y(loss: float) -> float:
        return round(BOTTOM - (min(loss, high) - low) / (high - low) * (BOTTOM - TOP), 1)

    marks = []
    for key in ("steepest", "tenth_of_least"):
        rate = found.get(key)
        if isinstance(rate, int | float) and points[0][0] <= rate <= points[-1][0]:
            nearest = min(points, key=lambda point: abs(math.log(point[0] / rate)))
            marks.append({"x": x(rate), "y": y(nearest[1])})
    ticks = [{"x": x(10.0**k), "text": f"1e{k}"} for k in range(math.ceil(first), math.floor(last) + 1)]
    line = " ".join(f"{x(rate)},{y(loss)}" for rate, loss in points)
    return {"points": line, "ticks": ticks, "marks": marks, "first": points[0][0], "last": points[-1][0]}


def _range(losses: list[float]) -> tuple[float, float]:
    """The least, and enough above the first to see the rise but not an explosion."""
    low = min(losses)
    high = min(max(losses), low + 2.0 * (losses[0] - low) + 1e-12) if losses[0] > low else max(losses)
    return low, max(high, low + 1e-9)
