"""Columns that somebody may want to see: the facts, choices in which the runs of the page differ, their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from studio.runs.directions import direction
from studio.runs.models import Run, RunColumn, RunConfig, RunMetric, RunQuerySet
from studio.runs.table.fields import BEST, FACTS, Field
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
    return {
        "Facts": [Offer(name, title, name in chosen) for name, title in FACTS.items()],
        "Choices that differ here": _offers(_of(table.columns, "config"), choices),
        "Metrics": _offers(_of(table.columns, "metric"), _metrics(pks)),
    }


def offered_to_groups(table: Table, columns: Sequence[Field], runs: RunQuerySet) -> dict[str, list[Offer]]:
    """What has a mean: metrics of these runs. `columns` are those that the groups show. One query."""
    facts = [] if table.is_default else _of(table.columns, "fact")  # kept for the table without groups
    found = {
        "Facts": [Offer(one.name, FACTS[one.name], True) for one in facts if one.name in FACTS],
        "Choices": _offers(_of(columns, "config"), []),
        "Metrics": _offers(_of(columns, "metric"), _metrics(runs.values("pk"))),
    }
    return {title: offers for title, offers in found.items() if offers}


def _of(columns: Sequence[Field], kind: str) -> list[Field]:
    return [column for column in columns if column.kind == kind]


def _metrics(runs: Any) -> list[str]:
    """Those that some of the runs (their keys, or a query for them) have, by their most telling numbers. One query."""
    ids = RunMetric.objects.filter(run_id__in=runs).order_by().values("column_id")
    names = RunColumn.objects.filter(pk__in=ids).order_by("name").values_list("name", flat=True)
    return [f"{name}.{_telling(name)}" for name in names[:MOST_METRICS]]


def _telling(metric: str) -> str:
    """Its best value; the last one where no value is better than another."""
    return BEST["best"][direction(metric) == "up"] if direction(metric) else "last"


def _offers(chosen: Sequence[Field], keys: Sequence[str]) -> list[Offer]:
    first = [column.key for column in chosen]
    return [Offer(quoted(key), key, True) for key in first] + [
        Offer(quoted(key), key, False) for key in keys if key not in first
    ]
