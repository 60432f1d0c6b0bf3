"""The rows of a page of the table: each cell with the text, the number, and how far it is from the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import TextField
from django.db.models.functions import Cast
from pydantic_core import from_json

from studio.accounts.models import User
from studio.core.templatetags.studio import metric as number_text
from studio.runs.directions import rises
from studio.runs.facts import TELLING
from studio.runs.models import Run, RunColumn, RunConfig, RunMetric, RunStar, RunTag
from studio.runs.table.fields import BEST, STATS, Field
from studio.runs.table.language import quoted

if TYPE_CHECKING:
    from studio.runs.table.select import Table

MOST_DIGITS = 8  # of a choice that is shown as somebody wrote it
NARROW = ("spec", "summary")  # what a row leaves unread
MONITOR = ("extras.monitor", "extras.monitor_mode")


@dataclass(slots=True)
class Cell:
    """`delta` is signed, in words: `▲ +0.005 better`; `tone` is good, bad or empty."""

    field: Field
    text: str = ""
    number: float | None = None
    sub: str = ""
    delta: str = ""
    tone: str = ""


@dataclass(slots=True)
class Row:
    run: Run
    cells: list[Cell] = field(default_factory=list)
    starred: bool = False
    is_base: bool = False
    is_pinned: bool = False
    objective: str = ""  # the metric of its small curve
    best: Field | None = None  # its best value
    pins: str = ""  # what `pin` would be with this one the other way round
    tag_queries: dict[str, str] = field(default_factory=dict)  # for each tag the filter that has it too


def read(pks: Sequence[int]) -> list[Run]:
    """The runs in this order, without what is wide. One query."""
    found = Run.objects.for_list().defer(*NARROW, "model_version__code", "model_version__params").in_bulk(pks)
    return [found[pk] for pk in pks if pk in found]


def rows_of(table: Table, runs: Sequence[Run], user: User) -> list[Row]:
    """Rows with the table's columns. About seven queries, whatever the number of runs."""
    pks = [run.pk for run in runs]
    values = Values(table, runs)
    starred = set(RunStar.objects.filter(user=user, run_id__in=pks).values_list("run_id", flat=True))
    base = next((run for run in runs if run.number == table.base), None)
    found = []
    for run in runs:
        row = Row(run, starred=run.pk in starred, is_base=run is base, is_pinned=run.number in table.pins)
        row.objective, row.best = values.objective(run)[0], values.best(run)
        pins = [n for n in table.pins if n != run.number] if row.is_pinned else [*table.pins, run.number]
        row.pins = ",".join(map(str, pins))
        row.tag_queries = {tag: _with_tag(table.q, tag) for tag in run.tags}
        for column in table.columns:
            cell = values.cell(run, column)
            if base is not None and run is not base and column.kind != "fact":
                compare(cell, values.cell(base, column).number, watched=values.monitor[base.pk])
            row.cells.append(cell)
        found.append(row)
    return found


def _with_tag(q: str, tag: str) -> str:
    clause = f"tag:{quoted(tag)}"
    return q if clause in q.split() else f"{q} {clause}".strip()


def compare(cell: Cell, base: float | None, *, watched: tuple[str, bool] = ("", False)) -> None:
    """Say in `cell` how far its number is from that of the baseline.

    `watched` is the metric by which the baseline chose its checkpoint, and whether more of it is better; of others the
    name tells, or nothing is said to be better.
    """
    if cell.number is None or base is None:
        return
    change = cell.number - base
    if change == 0:
        cell.delta = "= same"
        return
    sign = "▲ +" if change > 0 else "▼ −"
    cell.delta = sign + number_text(abs(change))
    is_watched = cell.field.is_value and cell.field.name == watched[0]
    if is_watched or cell.field.is_judged:
        better = (change > 0) == (watched[1] if is_watched else cell.field.rises)
        cell.tone = "good" if better else "bad"
        cell.delta += " better" if better else " worse"


class Values:
    """Choices and numbers of some runs. Those of runs that a worker holds come from their summaries, which are newer."""

    def __init__(self, table: Table, runs: Sequence[Run]) -> None:
        self.pks = [run.pk for run in runs]
        config = {i for column in table.columns if column.kind == "config" for i in column.ids}
        named = {name: table.fields.config[name] for name in MONITOR if name in table.fields.config}
        self.config: dict[tuple[int, int], tuple[str, float | None]] = {}
        rows = RunConfig.objects.filter(run_id__in=self.pks, column_id__in=[*config, *named.values()]).order_by()
        for pk, column, text, num in rows.values_list("run_id", "column_id", "text", "num"):
            self.config[pk, column] = text, num
        self.monitor = {pk: self._monitor(pk, named) for pk in self.pks}
        wanted = {column.name for column in table.columns if column.kind == "metric"}
        wanted |= {name for name, _ in self.monitor.values() if name} | set(TELLING)
        self.metrics: dict[int, dict[str, dict[str, Any]]] = {pk: {} for pk in self.pks}
        self._read_metrics(table.project.pk, wanted)
        self._read_live([run.pk for run in runs if run.is_held or not run.metrics_at], wanted)

    def _monitor(self, pk: int, named: dict[str, int]) -> tuple[str, bool]:
        """The metric that a run watches, and whether more of it is better."""
        name, mode = (self.config.get((pk, named.get(key, 0)), ("", None))[0] for key in MONITOR)
        return ("", False) if name in ("", "none") else (name, mode == "max")

    def _read_metrics(self, project_pk: int, names: set[str]) -> None:
        columns = RunColumn.objects.filter(project=project_pk, kind=RunColumn.Kind.METRIC, name__in=names)
        known = dict(columns.values_list("pk", "name"))
        self.ids = {name: pk for pk, name in known.items()}
        rows = RunMetric.objects.filter(run_id__in=self.pks, column_id__in=list(known)).order_by()
        for pk, column, *numbers in rows.values_list("run_id", "column_id", *STATS):
            self.metrics[pk][known[column]] = dict(zip(STATS, numbers, strict=True))

    def _read_live(self, pks: list[int], names: set[str]) -> None:
        if not pks:
            return
        rows = Run.objects.filter(pk__in=pks).order_by().annotate(text=Cast("summary", TextField()))
        for pk, text in rows.values_list("pk", "text"):
            summary = from_json(text)
            self.metrics[pk].update({name: summary[name] for name in names if name in summary})

    def objective(self, run: Run) -> tuple[str, bool]:
        """The watched metric, or the most telling one there is; and whether more of it is better."""
        name, up = self.monitor[run.pk]
        if name and name in self.metrics[run.pk]:
            return name, up
        name = next((one for one in TELLING if one in self.metrics[run.pk]), "")
        return name, rises(name)

    def best(self, run: Run) -> Field | None:
        """The best value of that metric, as something to sort by; None while the table knows none of it."""
        name, up = self.objective(run)
        return Field("metric", name, (self.ids[name],), BEST["best"][up], up) if name in self.ids else None

    def cell(self, run: Run, column: Field) -> Cell:
        cell = Cell(column)
        if column.kind == "config":
            found = (self.config[run.pk, i] for i in column.ids if (run.pk, i) in self.config)
            cell.text, cell.number = next(found, ("–", None))
            if cell.number is not None and len(cell.text) > MOST_DIGITS:
                cell.text = number_text(cell.number)
        elif column.kind == "metric":
            self._number(cell, run, column.name, column.stat)
        elif column.name == "best":
            name, up = self.objective(run)
            if name:
                self._number(cell, run, name, BEST["best"][up])
                cell.sub = name
        return cell

    def _number(self, cell: Cell, run: Run, name: str, stat: str) -> None:
        numbers = self.metrics[run.pk].get(name)
        value = numbers.get(stat) if numbers else None
        if numbers and value is None and stat == "last" and numbers.get("count"):
            value = "NaN"  # or infinite: a row keeps finite numbers only
        cell.text = number_text(value) if numbers else "–"
        cell.number = value if isinstance(value, int | float) else None


def tags_in(project_pk: int, start: str = "", most: int = 20) -> list[str]:
    """Tags of a project's runs that begin so, by name. One query."""
    rows = RunTag.objects.filter(run__project=project_pk, name__istartswith=start).order_by("name")
    return list(rows.values_list("name", flat=True).distinct()[:most])
