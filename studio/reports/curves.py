"""The curves of runs as plain data, few points each: what a shared page and an exported file draw and keep."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from studio.runs.models import Run
from studio.tracking.comparing import metrics_of
from studio.tracking.query import series

MOST_CHARTS, MOST_LINES, MOST_POINTS = 24, 240, 60_000
PART = re.compile(r"^(?:train|training|val|valid|validation|test)[_/.]|_(?:step|epoch)$")


Read = Callable[[list[int], list[str], int], list[dict[str, Any]]]


def read(run_ids: list[int], metrics: list[str], width: int) -> list[dict[str, Any]]:
    """`runs` of `series`."""
    found: list[dict[str, Any]] = series(run_ids, metrics, width=width)["runs"]
    return found


class ReadAhead:
    """A `Read` for a page of many charts of the same runs: at the first of them it looks once for the `metrics` of all."""

    def __init__(self, metrics: Iterable[str]) -> None:
        self._metrics = list(dict.fromkeys(metrics))
        self._found: dict[tuple[tuple[int, ...], int], list[dict[str, Any]]] = {}

    def __call__(self, run_ids: list[int], metrics: list[str], width: int) -> list[dict[str, Any]]:
        if not set(metrics) <= set(self._metrics):
            return read(run_ids, metrics, width)
        key = (tuple(run_ids), width)
        if key not in self._found:
            self._found[key] = read(run_ids, self._metrics, width)
        return self._found[key]


def charts_of(
    runs: Sequence[Run], metrics: Sequence[str] | None = None, most: int = MOST_CHARTS, read: Read = read
) -> list[dict[str, Any]]:
    """`[{"title", "lines": [{"name", "x", "y", "low"?, "high"?}]}]`: metrics that differ by the part of the data share a
    chart.

    A line of many points has the last of each bin in `y`, and the least and the greatest in `low` and `high`, so that no
    spike is lost. They have null where no value is finite. Up to nine queries a run.
    """
    names = list(metrics) if metrics is not None else metrics_of(runs)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(PART.sub("", PART.sub("", name)) or name, []).append(name)
    chosen = dict(list(groups.items())[:most])
    wanted = [name for some in chosen.values() for name in some][: max(1, MOST_LINES // max(len(runs), 1))]
    if not wanted or not runs:
        return []
    width = max(40, min(300, MOST_POINTS // (len(runs) * len(wanted))))
    found = read([run.pk for run in runs], wanted, width)
    lines = {(one["run"], line["name"]): line for one in found for line in one["series"] if line["name"] in wanted}
    charts = []
    for title, some in chosen.items():
        drawn = [
            {"name": _title(run, name, len(runs), len(some)), **_points(lines[run.pk, name])}
            for name in some
            for run in runs
            if (run.pk, name) in lines
        ]
        if drawn:
            charts.append({"title": title, "lines": drawn})
    return charts


def _title(run: Run, metric: str, runs: int, metrics: int) -> str:
    if runs == 1:
        return metric
    return f"#{run.number} {run.name}" + (f": {metric}" if metrics > 1 else "")


def _points(line: dict[str, Any]) -> dict[str, Any]:
    columns = {"y": "last", "low": "min", "high": "max"}
    found = {name: [_short(y, 6) for y in line[own]] for name, own in columns.items() if own in line}
    return {"x": [_short(x, 12) for x in line["x"]], **found}


def _short(value: Any, digits: int) -> float | None:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
