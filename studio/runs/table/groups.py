"""Runs that share a value as one row: how many they are, and mean and standard deviation of every number shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, FilteredRelation, Q

from studio.core.templatetags.studio import metric as number_text
from studio.runs.models import RunQuerySet
from studio.runs.table.fields import Field
from studio.runs.table.language import quoted
from studio.runs.table.select import Table

MOST_GROUPS = 200
Key = tuple[Any, ...]  # what the runs of a group share
Members = dict[Key, list[tuple[float | None, ...]]]
FACTS = {
    "state": "state", "model": "model_version__model__name", "dataset": "dataset_version__dataset__name",
    "by": "created_by__username",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean ± standard deviation (of a sample, so unknown for one) of `n` numbers."""

    n: int
    mean: float | None
    std: float | None

    @property
    def text(self) -> str:
        if self.mean is None:
            return "–"
        return number_text(self.mean) + (f" ± {number_text(self.std)}" if self.std is not None else "")


@dataclass(slots=True)
class Group:
    """`clause` filters to its runs, empty where no clause can; `query` is it beside the rest of the filter."""

    values: list[str]
    n: int
    spreads: list[Spread] = field(default_factory=list)
    clause: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class Every:
    """How many there are, also of groups that are not shown."""

    groups: int
    runs: int


def groups_of(table: Table, runs: RunQuerySet, columns: Sequence[Field]) -> tuple[list[Group], Every]:
    """The first MOST_GROUPS groups of these runs, and how many there are. One query, with a row for each run.

    `columns` are metrics and choices; choices that are no numbers have no mean. Groups come in the order of the table's
    first sort, by the mean; else the largest first.
    """
    names: list[str] = []
    for i, one in enumerate(table.groups):
        if one.kind == "fact":
            runs = runs.annotate(**{f"group{i}": F(FACTS[one.name])})
            names.append(f"group{i}")
        else:
            runs = _joined(runs, f"group{i}", one)
            names.append(f"group{i}__{one.stat or 'text'}")
    for k, column in enumerate(columns):
        runs = _joined(runs, f"value{k}", column)
        names.append(f"value{k}__{column.stat or 'num'}")
    members: Members = {}
    for row in runs.order_by().values_list(*names):
        members.setdefault(row[: len(table.groups)], []).append(row[len(table.groups) :])
    keys = sorted(members, key=_order(table, columns, members))
    every = Every(len(keys), sum(map(len, members.values())))
    return [_group(table, key, members[key]) for key in keys[:MOST_GROUPS]], every


def spread(values: Sequence[float | None]) -> Spread:
    """Of those that are numbers."""
    known = [value for value in values if value is not None]
    if not known:
        return Spread(0, None, None)
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Spread(1, mean, None)
    return Spread(len(known), mean, math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (len(known) - 1)))


def can_group(one: Field) -> bool:
    return one.kind != "fact" or one.name in FACTS


def _joined(runs: RunQuerySet, alias: str, column: Field) -> RunQuerySet:
    relation = "metric_rows" if column.kind == "metric" else "config_rows"
    condition = Q(**{f"{relation}__column_id__in": column.ids})
    return runs.annotate(**{alias: FilteredRelation(relation, condition=condition)})


def _order(table: Table, columns: Sequence[Field], members: Members) -> Callable[[Key], Any]:
    for sort in table.sorts[:1]:
        sign = -1 if sort.falls else 1
        if sort.field in table.groups:
            i = table.groups.index(sort.field)
            return lambda key: _by_value(key[i], sign)
        k = next((k for k, c in enumerate(columns) if (c.ids, c.stat) == (sort.field.ids, sort.field.stat)), None)
        if k is not None:
            means = {key: spread([row[k] for row in rows]).mean for key, rows in members.items()}
            return lambda key: (means[key] is None, sign * (means[key] or 0.0), [str(value) for value in key])
    return lambda key: (-len(members[key]), [_by_value(value, 1) for value in key])


def _by_value(value: Any, sign: int) -> tuple[bool, float, str]:
    """Numbers by their size, words after them, nothing at the end."""
    try:
        return value is None, sign * float(value), ""
    except (TypeError, ValueError):
        return value is None, math.inf, str(value)


def _group(table: Table, key: Key, rows: Sequence[tuple[float | None, ...]]) -> Group:
    texts, clauses = [], []
    for value, one in zip(key, table.groups, strict=True):
        texts.append("–" if value in (None, "") else number_text(value) if one.kind == "metric" else str(value))
        if value not in (None, ""):
            clauses.append(f"{quoted(one.key)}{'=' if one.kind == 'metric' else ':'}{quoted(str(value))}")
    clause = " ".join(clauses) if len(clauses) == len(key) else ""
    spreads = [spread(values) for values in zip(*rows, strict=True)]
    return Group(texts, len(rows), spreads, clause, f"{table.q} {clause}".strip())
