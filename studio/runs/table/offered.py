"""Columns that somebody may want to see: the facts, choices in which the runs of the page differ, their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from studio.runs.models import Run, RunColumn, RunConfig, RunMetric
from studio.runs.table.fields import BEST, FACTS, Field, rises
from studio.runs.table.language import quoted
from studio.runs.table.select import Table

MOST_CHOICES, MOST_METRICS = 60, 60


@dataclass(frozen=True, slots=True)
class Offer:
    """`value` is as it stands in an address; `chosen` when it is a column now."""

    value: str
    title: str
    chosen: bool


def offered(table: Table, runs: Sequence[Run]) -> dict[str, list[Offer]]:
    """By kind; what is chosen comes first. Two queries."""
    chosen = {column.key for column in table.columns}
    pks = [run.pk for run in runs]
    varying = (
        RunConfig.objects.filter(run_id__in=pks)
        .values("column__name")
        .annotate(texts=Count("text", distinct=True))
        .filter(texts__gt=1)
        .order_by("column__name")
    )
    choices = [row["column__name"] for row in varying[:MOST_CHOICES]]
    ids = RunMetric.objects.filter(run_id__in=pks).order_by().values("column_id")
    names = RunColumn.objects.filter(pk__in=ids).order_by("name").values_list("name", flat=True)
    metrics = [f"{name}.{BEST['best'][rises(name)]}" for name in names[:MOST_METRICS]]
    chosen_of = {kind: [c for c in table.columns if c.kind == kind] for kind in ("config", "metric")}
    return {
        "Facts": [Offer(name, title, name in chosen) for name, title in FACTS.items()],
        "Choices that differ here": _offers(chosen_of["config"], choices),
        "Metrics": _offers(chosen_of["metric"], metrics),
    }


def _offers(chosen: Sequence[Field], keys: Sequence[str]) -> list[Offer]:
    first = [column.key for column in chosen]
    return [Offer(quoted(key), key, True) for key in first] + [
        Offer(quoted(key), key, False) for key in keys if key not in first
    ]
