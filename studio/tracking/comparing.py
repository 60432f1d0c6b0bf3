"""Numbers of several runs for charts that set one against another: metrics, choices in which they differ, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from studio.runs import facts
from studio.runs.compare.layers import Row
from studio.runs.models import Run
from studio.runs.table.fields import rises
from studio.tracking.models import SystemSample

MOST_METRICS, MOST_CHOICES = 60, 40
LAYERS = ("config", "data", "seed", "hardware")  # those whose values are axes
COST = {"time": "time, s", "memory": "memory, MiB", "gpu_memory": "GPU memory, MiB"}


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


def peaks(runs: Sequence[Run]) -> dict[int, dict[str, float]]:
    """{run: the most memory that it took}; one query with up to 2,000 samples a run."""
    found: dict[int, dict[str, float]] = {run.pk: {} for run in runs}
    rows = SystemSample.objects.filter(run__in=list(found)).order_by("-pk").values_list("run_id", "values")
    for pk, values in rows[: 2000 * len(runs)]:
        mine, gpu = found[pk], [v for name, v in values.items() if name.startswith("gpu_memory.")]
        for name, value in (("memory", values.get("memory.run")), ("gpu_memory", max(gpu, default=None))):
            if value is not None and value > mine.get(name, -1.0):
                mine[name] = value
    return found


def points_of(runs: Sequence[Run], rows: Sequence[Row], metric: str, up: bool) -> dict[str, Any]:
    """JSON for `<par-coords>` and `<scatter-plot>`: `axes` of {key, title, kind} and `runs` of {id, number, name, values}.

    The axes are the choices in which the runs differ, cost, then metrics by their best values; the objective is the last.
    """
    varied = [row for row in rows if row.differs and row.layer in LAYERS and not row.name.startswith("sha256")]
    varied = varied[:MOST_CHOICES]
    metrics = [name for name in metrics_of(runs) if name != metric]
    axes = [{"key": f"{row.layer}.{row.name}", "title": row.name, "kind": "choice"} for row in varied]
    memory = peaks(runs)
    costs = [name for name in COST if name == "time" or any(name in memory[run.pk] for run in runs)]
    axes += [{"key": f"cost.{name}", "title": COST[name], "kind": "cost"} for name in costs]
    axes += [
        {"key": f"metric.{name}", "title": name, "kind": "metric"} for name in [*metrics, *([metric] if metric else [])]
    ]
    shown = []
    for i, run in enumerate(runs):
        values: dict[str, float | str | None] = {f"{r.layer}.{r.name}": _number(r.values[i]) for r in varied}
        values["cost.time"] = facts.duration_s(run)
        values |= {f"cost.{name}": value for name, value in memory[run.pk].items()}
        values |= {
            f"metric.{name}": best_of(run, name, up if name == metric else rises(name)) for name in metrics_of(runs)
        }
        shown.append({"id": run.pk, "number": run.number, "name": run.name, "values": values})
    return {"axes": axes, "runs": shown, "objective": f"metric.{metric}" if metric else ""}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
