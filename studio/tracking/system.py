"""What attempts took of their machines: samples in, charts out; kept apart from the metrics that the run itself logged."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.db import transaction
from django.db.models.functions import Now

from studio.runs.errors import StaleState
from studio.runs.lease import is_held
from studio.tracking.models import SystemSample

#: By the first part of a value's name: (title with the unit, what the second parts are called).
CHARTS: dict[str, tuple[str, dict[str, str]]] = {
    "gpu_use": ("GPU, % busy", {}),
    "gpu_memory": ("GPU memory, MiB", {}),
    "gpu_power": ("GPU power, W", {}),
    "gpu_temperature": ("GPU temperature, °C", {}),
    "cpu": ("Processors, % of one", {"run": "this run", "machine": "whole machine"}),
    "memory": ("Memory, MiB", {"run": "this run", "machine": "whole machine"}),
    "disk": ("Disk, MiB/s", {"read": "read", "written": "written"}),
    "network": ("Network of the machine, MiB/s", {"received": "received", "sent": "sent"}),
}
MOST_BINS = 750


def keep_sample(run_pk: int, fence: int, age_s: float, values: dict[str, float]) -> None:
    """Store one sample, taken `age_s` seconds after the attempt began; StaleState when the attempt is superseded."""
    with transaction.atomic():
        if not is_held(run_pk, fence):
            raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
        SystemSample.objects.create(
            run_id=run_pk, fence=fence, at=Now(), age_s=age_s, values={k: round(v, 3) for k, v in values.items()}
        )


def charts_of(run_pk: int, fence: int) -> list[dict[str, Any]]:
    """Charts of an attempt: `title` and `series` of {name, x (seconds of the attempt), last, min, max}. One query.

    More than MOST_BINS samples become bins: `last` is then their mean, `min` and `max` keep every peak.
    """
    rows = SystemSample.objects.filter(run_id=run_pk, fence=fence).values_list("age_s", "values")
    lines: dict[str, list[tuple[float, float]]] = {}
    for age_s, values in rows:
        for name, value in values.items():
            lines.setdefault(name, []).append((age_s, value))
    charts = []
    for first, (title, names) in CHARTS.items():
        found = {name.partition(".")[2]: points for name, points in lines.items() if name.partition(".")[0] == first}
        order = list(names) or sorted(found)
        series = [_line(names.get(part, f"GPU {part}"), found[part]) for part in order if part in found]
        if series:
            charts.append({"title": title, "series": series})
    return charts


def _line(name: str, points: list[tuple[float, float]]) -> dict[str, Any]:
    x, y = np.array(points).T
    if len(x) <= MOST_BINS:
        return {"name": name, "x": x.tolist(), "last": y.tolist()}
    starts = np.arange(0, len(x), -(-len(x) // MOST_BINS))
    counts = np.diff([*starts, len(x)])
    return {
        "name": name,
        "x": x[starts + counts - 1].tolist(),
        "last": (np.add.reduceat(y, starts) / counts).tolist(),
        "min": np.minimum.reduceat(y, starts).tolist(),
        "max": np.maximum.reduceat(y, starts).tolist(),
    }
