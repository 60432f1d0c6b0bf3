"""The curves of runs as plain data, few points each: what a shared page and an exported file draw and keep."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from studio.runs.models import Run
from studio.tracking.comparing import metrics_of
from studio.tracking.query import series

MOST_CHARTS, MOST_LINES, MOST_POINTS = 24, 240, 60_000
PART = re.compile(r"^(?:train|training|val|valid|validation|test)[_/.]|_(?:step|epoch)$")


def charts_of(
    runs: Sequence[Run], metrics: Sequence[str] | None = None, most: int = MOST_CHARTS
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
    found = series([run.pk for run in runs], wanted, width=width)["runs"]
    lines = {(one["run"], line["name"]): line for one in found for line in one["series"]}
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
