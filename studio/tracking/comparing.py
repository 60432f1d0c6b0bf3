"""Numbers of several runs for charts that set one against another: metrics, choices in which they differ, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone

from studio.runs import facts
from studio.runs.compare.layers import Row
from studio.runs.directions import Direction, direction, rises
from studio.runs.models import Attempt, Run
from studio.tracking.models import SystemSample

MOST_METRICS, MOST_CHOICES = 60, 40
LAYERS = ("config", "data", "seed", "hardware")  # those whose values are axes
COST = {"time": "time, s", "gpu_hours": "GPU-hours", "memory": "memory, MiB", "gpu_memory": "GPU memory, MiB"}


def objective_of(runs: Sequence[Run]) -> tuple[str, bool]:
    """The metric that most of them watch, or that most of them have; and whether more of it is better."""
    watched: Counter[str] = Counter()
    modes = {}
    for run in runs:
        name = run.spec.get("extras", {}).get("monitor")
        if name in run.summary:
            watched[name] += 1
            modes[name] = run.spec["extras"].get("monitor_mode") == "max"
        elif number := facts.key_metric(run):
            watched[number.name] += 1
    if not watched:
        return "", False
    name = watched.most_common(1)[0][0]
    return name, modes.get(name, rises(name))


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """Names of their metrics: those that most have first, of validation before others."""
    count = Counter(name for run in runs for name in run.summary)
    found = sorted(count, key=lambda name: (-count[name], not name.startswith(("val", "test")), name))
    return found[:MOST_METRICS]


def best_of(run: Run, metric: str, up: bool) -> float | None:
    value = run.summary.get(metric, {}).get("max" if up else "min")
    return float(value) if isinstance(value, int | float) else None


def best_run(runs: Sequence[Run], numbers: Mapping[int, float | None], *, rises: bool) -> Run:
    """The one with the best number; the first where none has one."""
    known = [
        (value if rises else -value, -i) for i, run in enumerate(runs) if (value := numbers.get(run.pk)) is not None
    ]
    return runs[-max(known)[1]] if known else runs[0]


def value_of(run: Run, metric: str, way: Direction) -> float | None:
    """The number by which runs are compared: the best value, or the last where none is better than another."""
    value = run.summary.get(metric, {}).get({"up": "max", "down": "min", "": "last"}[way])
    return float(value) if isinstance(value, int | float) else None


def costs_of(runs: Sequence[Run]) -> dict[int, dict[str, float]]:
    """{run: what it took, by the names of COST}; what is not known is left out. Two queries."""
    found = peaks(runs)
    for run in runs:
        if (seconds := facts.duration_s(run)) is not None:
            found[run.pk]["time"] = seconds
    for pk, hours in gpu_hours(runs).items():
        found[pk]["gpu_hours"] = hours
    return found


def gpu_hours(runs: Sequence[Run]) -> dict[int, float]:
    """{run: hours that its attempts held GPUs, times how many}, of runs that held any. One query."""
    now, found = timezone.now(), dict[int, float]()
    rows = Attempt.objects.filter(run__in=[run.pk for run in runs]).order_by()
    for pk, host, devices, began, ended in rows.values_list("run_id", "host", "devices", "started_at", "ended_at"):
        count = len(devices) if devices else int(str(host.get("device", "")).startswith(("cuda", "NVIDIA")))
        if count:
            found[pk] = found.get(pk, 0.0) + count * ((ended or now) - began).total_seconds() / 3600
    return found


def peaks(runs: Sequence[Run]) -> dict[int, dict[str, float]]:
    """{run: the most memory that it took}; one query with up to 2,000 samples a run."""
    found: dict[int, dict[str, float]] = {run.pk: {} for run in runs}
    rows = SystemSample.objects.filter(run__in=list(found)).order_by("-pk").values_list("run_id", "values")
    for pk, values in rows[: 2000 * len(runs)]:
        mine, gpu = found[pk], [v for name, v in values.items() if name.startswith("gpu_memory.")]
        for name, value in (("memory", values.get("memory.run")), ("gpu_memory", max(gpu, default=None))):
            if value is not None and value > mine.get(name, 0.0):
                mine[name] = value
    return found


def points_of(
    runs: Sequence[Run], rows: Sequence[Row], metric: str, up: bool, costs: Mapping[int, Mapping[str, float]]
) -> dict[str, Any]:
    """JSON for `<par-coords>` and `<scatter-plot>`: `axes` of {key, title, kind} and `runs` of {id, number, name, values}.

    The axes are the choices in which the runs differ, cost, then metrics by their best values; the objective is the last.
    """
    varied = [row for row in rows if row.differs and row.layer in LAYERS and not row.name.startswith("sha256")]
    varied = varied[:MOST_CHOICES]
    metrics = [name for name in metrics_of(runs) if name != metric]
    axes = [{"key": f"{row.layer}.{row.name}", "title": row.name, "kind": "choice"} for row in varied]
    known = [name for name in COST if any(name in costs[run.pk] for run in runs)]
    axes += [{"key": f"cost.{name}", "title": COST[name], "kind": "cost"} for name in known]
    axes += [
        {"key": f"metric.{name}", "title": name, "kind": "metric"} for name in [*metrics, *([metric] if metric else [])]
    ]
    shown = []
    for i, run in enumerate(runs):
        values: dict[str, float | str | None] = {f"{r.layer}.{r.name}": _number(r.values[i]) for r in varied}
        values |= {f"cost.{name}": value for name, value in costs[run.pk].items()}
        values |= {f"metric.{name}": value_of(run, name, direction(name)) for name in metrics}
        if metric:
            values[f"metric.{metric}"] = best_of(run, metric, up)
        shown.append({"id": run.pk, "number": run.number, "name": run.name, "values": values})
    return {"axes": axes, "runs": shown, "objective": f"metric.{metric}" if metric else ""}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
