"""A chart as the parts of an SVG picture, laid out on the server: it needs no script and prints well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.templatetags.studio import metric as number_text

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 30
COLOURS = 10


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """`path` is an SVG path; points that stand alone are dots. `span` is one through the least and the greatest value of
    each bin, empty where points are no bins. `colour` counts from 0."""

    name: str
    path: str
    span: str
    dots: list[tuple[float, float]]
    colour: int
    dashed: bool
    last: str


@dataclass(frozen=True, slots=True)
class Picture:
    title: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    words: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    foot: int = HEIGHT - 10


def picture(chart: dict[str, Any]) -> Picture:
    """Of `{"title", "lines": [{"name", "x", "y", "low"?, "high"?}]}`, see `curves.charts_of`."""
    xs = [x for line in chart["lines"] for x in line["x"] if x is not None]
    ys = [y for line in chart["lines"] for name in ("y", "low", "high") for y in line.get(name, ()) if y is not None]
    x0, x1 = _range(xs)
    y0, y1 = _range(ys, pad=0.04)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (min(max((v - a) / (b - a), 0.0), 1.0) for v, a, b in ((x, x0, x1), (y, y0, y1)))
        return round(LEFT + across * (WIDTH - LEFT - RIGHT), 1), round(
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1
        )

    lines = []
    for i, line in enumerate(chart["lines"]):
        path, dots = _drawn(line["x"], line["y"], place)
        span, _ = _drawn(*_up_and_down(line), place) if "low" in line else ("", [])
        last = next((y for y in reversed(line["y"]) if y is not None), None)
        lines.append(Line(line["name"], path, span, dots, i % COLOURS, i % (2 * COLOURS) >= COLOURS, number_text(last)))
    across = [Tick(place(x, y0)[0], _tick(x)) for x in ticks(x0, x1, 6)]
    up = [Tick(place(x0, y)[1], _tick(y)) for y in ticks(y0, y1, 5)]
    words = "; ".join(f"{line.name}: last {line.last}" for line in lines[:COLOURS]) if ys else "no finite values"
    return Picture(chart["title"], lines, across, up, words)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers inside the range, at most `most` + 1; steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [
        round(k * step, 12 - math.floor(math.log10(step))) for k in range(first, math.floor(high / step + 1e-9) + 1)
    ]


def _tick(value: float) -> str:
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "−")


def _range(values: Sequence[float], pad: float = 0.0) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if not high - low > 1e-12 * max(abs(low), abs(high), 1e-290):
        half = abs(low) * 0.5 or 0.5
        return low - half, high + half
    if not math.isfinite(high - low):  # wider than floats reach: cut at the edges
        return max(low, -8e307), min(high, 8e307)
    return low - (high - low) * pad, high + (high - low) * pad


def _up_and_down(line: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """From bin to bin, up in one and down in the next."""
    both = [pair if i % 2 else pair[::-1] for i, pair in enumerate(zip(line["low"], line["high"], strict=True))]
    return [x for x in line["x"] for _ in range(2)], [y for pair in both for y in pair]


def _drawn(xs: Sequence[Any], ys: Sequence[Any], place: Any) -> tuple[str, list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if x is None or y is None:
            parts.append([])
        else:
            parts[-1].append(place(x, y))
    path = "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in part) for part in parts if len(part) > 1)
    return path, [part[0] for part in parts if len(part) == 1]
