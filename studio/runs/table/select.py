"""Which runs a table shows and in what order, from the query of its address; wide columns of runs are not touched.

`q` is the filter (see `language`), `sort` names with commas and a minus where the largest come first, `columns` names,
`group` up to two names, `base` the number of the run that others are compared with, `pin` numbers of runs on top, `ticked`
numbers of runs that were chosen for an order, on whatever page they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import Case, Count, F, FilteredRelation, IntegerField, OrderBy, Q, Value, When, Window
from django.db.models.functions import Coalesce, Lower, Now

from studio.accounts.models import Project, User
from studio.runs.models import Run, RunQuerySet, State
from studio.runs.table.conditions import asks_for, condition
from studio.runs.table.fields import SORTED, Field, Fields, UnknownName
from studio.runs.table.language import Clause, QueryError, parse, parse_names
from studio.runs.table.objective import objective_of

DEFAULT_COLUMNS = ("state", "model", "dataset", "best", "progress", "when", "by")
SIZES = (50, 100)
MOST_COLUMNS, MOST_SORTS, MOST_GROUPS, MOST_PINS, MOST_TICKED = 40, 4, 2, 10, 200
STATE_ORDER = {state: i for i, state in enumerate(State.values)}


@dataclass(frozen=True, slots=True)
class Sort:
    field: Field
    falls: bool

    @property
    def text(self) -> str:
        return f"-{self.field.key}" if self.falls else self.field.key


@dataclass
class Table:
    """What somebody asked of the table of a project. `error` is about the filter, then nothing matches; `notices` are
    about the rest, which is left out where it makes no sense."""

    project: Project
    user: User
    q: str = ""
    size: int = SIZES[0]
    columns: list[Field] = field(default_factory=list)
    sorts: list[Sort] = field(default_factory=list)
    groups: list[Field] = field(default_factory=list)
    base: int | None = None
    pins: list[int] = field(default_factory=list)
    ticked: list[int] = field(default_factory=list)
    error: QueryError | None = None
    notices: list[str] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)
    conditions: list[Q] = field(default_factory=list)
    is_default: bool = True  # whether nobody chose the columns

    @cached_property
    def fields(self) -> Fields:
        return Fields(self.project)

    @property
    def in_trash(self) -> bool:
        return asks_for(self.clauses, "trashed")

    def everything(self) -> RunQuerySet:
        """The runs that the filter chooses from: not those in the archive or the trash, unless it asks for them."""
        runs = Run.objects.filter(project=self.project, deleted_at__isnull=not self.in_trash)
        if self.in_trash or asks_for(self.clauses, "archived"):
            return runs
        return runs.filter(archived_at__isnull=True)

    def matching(self, without: int | None = None) -> RunQuerySet:
        """The runs that fit the filter, in no order; `without` leaves one clause out."""
        if self.error:
            return Run.objects.none()
        runs = self.everything()
        for i, one in enumerate(self.conditions):
            if i != without:
                runs = runs.filter(one)
        return runs

    def ordered(self) -> RunQuerySet:
        """They in the wanted order, the newest first where nothing else decides."""
        runs, orders = self.matching(), []
        for i, sort in enumerate(self.sorts):
            value: Any
            if sort.field.kind == "fact":
                runs, value = _fact_order(runs, sort.field.name)
            else:
                alias, relation = f"sort{i}", "metric_rows" if sort.field.kind == "metric" else "config_rows"
                runs = runs.annotate(
                    **{alias: FilteredRelation(relation, condition=Q(**{f"{relation}__column_id__in": sort.field.ids}))}
                )
                names = [sort.field.stat] if sort.field.kind == "metric" else ["num", "text"]
                orders += [_order(F(f"{alias}__{name}"), sort.falls) for name in names]
                continue
            orders.append(_order(value, sort.falls))
        return runs.order_by(*orders, "-number")

    def part(self, start: int, size: int) -> tuple[list[int], int]:
        """The primary keys of `size` runs from `start` on, in order, and how many fit in all.

        What is filtered or sorted by metrics and choices is looked at whole, so one query counts it on its way; all runs
        in the order of their numbers are not: that stops at the last one wanted, and counting is a cheap query of its own.
        """
        if self.sorts or self.conditions:
            rows = list(self.ordered().annotate(of=Window(Count("*"))).values_list("pk", "of")[start : start + size])
            if rows:
                return [pk for pk, _ in rows], rows[0][1]
        count = self.matching().count()
        return list(self.ordered().values_list("pk", flat=True)[start : start + size]) if start < count else [], count


def table_of(project: Project, user: User, asked: Mapping[str, Any]) -> Table:
    """From a request's GET; up to four queries."""
    get = asked.get
    table = Table(project, user, q=str(get("q") or "").strip())
    names = {name: parse_list(table, get(name)) for name in ("sort", "columns", "group")}
    lists = getattr(asked, "getlist", None)
    if lists and len(lists("columns")) > 1:  # a form with boxes
        names["columns"] = [one for text in lists("columns") for one in parse_list(table, text)]
    try:
        table.clauses = parse(table.q)
    except QueryError as error:
        table.error = error
    bare = [name.removeprefix("-") for some in names.values() for name in some]
    table.fields.prepare([*bare, *(clause.key for clause in table.clauses if clause.key)])
    _filter(table)
    table.is_default = not names["columns"]
    table.columns = _found(table, names["columns"] or DEFAULT_COLUMNS, MOST_COLUMNS)
    table.groups = _found(table, names["group"], MOST_GROUPS)
    table.sorts = list(_sorts(table, names["sort"]))
    table.size = int(get("size", "")) if str(get("size", "")) in map(str, SIZES) else SIZES[0]
    table.base = whole(get("base"))
    table.pins = _numbers(get("pin"), MOST_PINS)
    table.ticked = _numbers(get("ticked"), MOST_TICKED)
    return table


def parse_list(table: Table, text: Any) -> list[str]:
    try:
        return parse_names(str(text or "")[:4000])
    except QueryError as error:
        table.notices.append(error.message)
        return []


def _filter(table: Table) -> None:
    try:
        table.conditions = [condition(clause, table.fields, table.user) for clause in table.clauses]
    except QueryError as error:
        table.error = error


def _found(table: Table, names: Any, most: int) -> list[Field]:
    found: list[Field] = []
    for name in names:
        try:
            one = table.fields.find(name)
        except UnknownName as error:
            table.notices.append(str(error))
            continue
        if one not in found:
            found.append(one)
    if len(found) > most:
        table.notices.append(f"{len(found)} columns or groups; the first {most} are shown.")
    return found[:most]


def _sorts(table: Table, names: list[str]) -> Any:
    """`best` is what the head of that column sorts by, the best first; `-best` the other way round."""
    for name in names[:MOST_SORTS]:
        falls = name.startswith("-")
        for one in _found(table, [name.removeprefix("-")], 1):
            if one.kind == "fact" and one.name == "best":
                if (best := objective_of(table)) is not None:
                    yield Sort(best, best.rises != falls)
                else:
                    table.notices.append("No run here has a best value yet, so rows are not sorted by it.")
            elif one.kind == "fact" and one.name not in SORTED:
                table.notices.append(f"Rows are not sorted by {one.title.lower()}; sort by a metric or a choice.")
            else:
                yield Sort(one, falls)


def _fact_order(runs: RunQuerySet, name: str) -> tuple[RunQuerySet, Any]:
    if name == "state":
        whens = [When(state=state, then=Value(i)) for state, i in STATE_ORDER.items()]
        return runs, Case(*whens, output_field=IntegerField())
    if name == "duration":
        return runs, Coalesce(F("ended_at"), Now()) - F("started_at")
    if name == "name":
        return runs, Lower("name")
    columns = {
        "model": "model_version__model__name", "dataset": "dataset_version__dataset__name", "by": "created_by__username",
        "when": "created_at", "started": "started_at", "ended": "ended_at", "number": "number",
    }  # fmt: skip
    return runs, F(columns[name])


def _order(value: Any, falls: bool) -> OrderBy:
    return OrderBy(value, descending=falls, nulls_last=True)


def _numbers(text: Any, most: int) -> list[int]:
    """Numbers of runs as an address has them, each once."""
    found = [whole(part) for part in str(text or "").split(",", most)[:most]]
    return list(dict.fromkeys(number for number in found if number is not None))


def whole(text: Any) -> int | None:
    """A number of a run or page as an address has it, else None."""
    text = str(text or "").removeprefix("#")
    return int(text) if text.isdecimal() and len(text) < 10 else None
