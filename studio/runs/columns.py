"""A run's choices and the summaries of its metrics as typed rows: tables of runs are filtered, sorted, grouped by them.

Choices are written when a run is submitted. Summaries change with each flush, a table needs them less often: their rows
are written every EVERY_S while points come in, and whenever a worker gives the run back. A page shows what
`Run.summary` says; only order and filters may be so much older.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from studio.runs import diff
from studio.runs.models import Run, RunColumn, RunConfig, RunMetric
from trainer_core.options import RUN_EXTRAS, TRAINER_OPTIONS, OptionSpec

EVERY_S = 10.0
VERSION = 1  # of what RunConfig rows hold: `catch_up` writes those of an older one again
MOST_METRICS, MOST_CHOICES = 1000, 1000  # of one run
MOST_NAMES = 500  # in one query
NUMBERS = (
    "last", "min", "argmin", "max", "argmax", "mean", "count", "nonfinite", "first_step", "last_step",
)  # fmt: skip


def write_config(run: Run) -> None:
    """The rows of its specification, the defaults too. Three queries, and one for each 500 names."""
    values = list(choices(run).items())[:MOST_CHOICES]
    ids = column_ids(run.project_id, RunColumn.Kind.CONFIG, [name for name, _ in values])
    rows = [RunConfig(run_id=run.pk, column_id=ids[name], **_typed(value)) for name, value in values if name in ids]
    with transaction.atomic():
        RunConfig.objects.filter(run_id=run.pk).delete()
        RunConfig.objects.bulk_create(rows, batch_size=MOST_NAMES)
        Run.objects.filter(pk=run.pk).update(columns_version=VERSION)


def choices(run: Run) -> dict[str, Any]:
    """What was chosen by name, as `diff.flat` has it, and the defaults of what was not."""
    spec, found = run.spec, {}
    if run.model_version is None or run.dataset_version is None:  # external: it has no defaults that are known
        return diff.flat(spec)
    options: dict[str, dict[str, OptionSpec]] = {
        "model": run.model_version.option_specs,
        "data": run.dataset_version.option_specs,
        "trainer": TRAINER_OPTIONS,
        "extras": RUN_EXTRAS,
    }
    chosen = {name: value for name, value in diff.flat(spec).items() if name not in ("model", "data")}
    for part, specs in options.items():
        for name, option in specs.items():
            if option.level != "hidden" and option.kind != "object":
                found[f"{part}.{name}"] = option.default
    return {**chosen, **{name: value for name, value in found.items() if name not in chosen}}


def write_metrics(run_pk: int, project_pk: int, summary: dict[str, dict[str, Any]]) -> float:
    """The rows of a run's summary; what it has no longer goes. Returns when, for `Run.metrics_at`. About four queries."""
    names = list(summary)[:MOST_METRICS]
    ids = column_ids(project_pk, RunColumn.Kind.METRIC, names)
    rows = [
        RunMetric(run_id=run_pk, column_id=ids[name], **{key: _finite(summary[name].get(key)) for key in NUMBERS})
        for name in names
        if name in ids
    ]
    for row in rows:
        row.count, row.nonfinite = row.count or 0, row.nonfinite or 0
    known = set(RunMetric.objects.filter(run_id=run_pk).values_list("column_id", flat=True))
    if gone := known - set(ids.values()):
        RunMetric.objects.filter(run_id=run_pk, column_id__in=list(gone)[:MOST_NAMES]).delete()
    RunMetric.objects.bulk_create(
        rows,
        batch_size=MOST_NAMES // 2,
        update_conflicts=True,
        unique_fields=["run", "column"],
        update_fields=list(NUMBERS),
    )
    return time.time()


def are_due(run: Run) -> bool:
    """Whether the rows of its summary have become old."""
    return time.time() - run.metrics_at > EVERY_S


def column_ids(project_pk: int, kind: RunColumn.Kind, names: Sequence[str]) -> dict[str, int]:
    """{name: its number}, made where it is new; names that are too long have none."""
    short = [name for name in names if name and len(name) <= RunColumn.MOST_LETTERS]
    found = _known(project_pk, kind, short)
    if new := [name for name in short if name not in found]:
        RunColumn.objects.bulk_create(
            [RunColumn(project_id=project_pk, kind=kind, name=name) for name in new],
            batch_size=MOST_NAMES,
            ignore_conflicts=True,  # another run brought it in the meantime
        )
        found |= _known(project_pk, kind, new)
    return found


def catch_up(most: int = 200) -> int:
    """Write the rows of runs that have none, or old ones: those of an earlier version of the studio. How many."""
    runs = Run.objects.filter(columns_version__lt=VERSION).select_related("model_version", "dataset_version")
    count = 0
    for run in runs.order_by("columns_version", "pk")[:most]:
        with transaction.atomic():
            write_config(run)
            if run.summary:
                Run.objects.filter(pk=run.pk).update(metrics_at=write_metrics(run.pk, run.project_id, run.summary))
        count += 1
    return count


def _known(project_pk: int, kind: RunColumn.Kind, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for at in range(0, len(names), MOST_NAMES):
        rows = RunColumn.objects.filter(project_id=project_pk, kind=kind, name__in=names[at : at + MOST_NAMES])
        found.update(rows.values_list("name", "pk"))
    return found


def _typed(value: Any) -> dict[str, Any]:
    text = diff.show(value)[: RunConfig.MOST_LETTERS]
    if isinstance(value, bool):
        return {"type": "bool", "num": float(value), "text": text}
    if isinstance(value, int | float):
        return {"type": "number", "num": _finite(float(value)) if abs(value) < 1e300 else None, "text": text}
    if value is None:
        return {"type": "none", "text": text}
    return {"type": "list" if isinstance(value, Iterable) and not isinstance(value, str) else "text", "text": text}


def _finite(value: Any) -> Any:
    """None for the words that stand for NaN and the infinities."""
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value if isinstance(value, int | float) else None
