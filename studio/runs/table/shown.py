"""What a page says around the rows: heads of columns, the filter with its wrong part, why nothing was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studio.runs.table.fields import SORTED, Field
from studio.runs.table.language import quoted
from studio.runs.table.select import Table


@dataclass(frozen=True, slots=True)
class Head:
    """`sort` is the query that a click asks for, empty where rows cannot be sorted so; `order` as aria-sort says it."""

    field: Field
    value: str  # its name as it stands in an address
    by: str  # what a click sorts by
    sort: str
    order: str
    place: str  # of several sorts: 1, 2, …
    without: str  # the columns with this one away, for the address
    earlier: str  # and with this one a place further to the left, empty for the first


@dataclass(frozen=True, slots=True)
class Marked:
    """A filter in three parts; `wrong` is what the message is about."""

    before: str
    wrong: str
    after: str
    message: str


def heads_of(table: Table, columns: Sequence[Field], objective: Field | None) -> list[Head]:
    """`objective` is what the column *Best* sorts by: see `table.objective`."""
    found = []
    keys = [_text(column) for column in columns]
    for i, column in enumerate(columns):
        by = objective if column.kind == "fact" and column.name == "best" and objective else column
        now = next((k for k, sort in enumerate(table.sorts) if _same(sort.field, by)), None)
        sorts = by.kind != "fact" or by.name in SORTED
        falls = by.kind == "metric" and by.rises
        order, text = "none", _text(by)
        if now is not None:
            order = "descending" if table.sorts[now].falls else "ascending"
            falls = not table.sorts[now].falls
        place = str(now + 1) if now is not None and len(table.sorts) > 1 else ""
        without = ",".join(key for k, key in enumerate(keys) if k != i)
        earlier = ",".join([*keys[: i - 1], keys[i], keys[i - 1], *keys[i + 1 :]]) if i else ""
        sort = ("-" if falls else "") + text if sorts else ""
        found.append(Head(column, keys[i], by.key, sort, order, place, without, earlier))
    return found


def marked(table: Table) -> Marked | None:
    """None while the filter can be read."""
    error, q = table.error, table.q
    if error is None:
        return None
    return Marked(q[: error.start], q[error.start : error.end], q[error.end :], error.message)


def why_nothing(table: Table) -> list[tuple[str, int]]:
    """(clause, how many runs fit without it): which one leaves nothing over. A query for each of at most eight."""
    if table.error or not 1 < len(table.clauses) <= 8:
        return []
    counts = [(clause.text, table.matching(without=i).count()) for i, clause in enumerate(table.clauses)]
    return [(text, count) for text, count in counts if count]


def _same(one: Field, other: Field) -> bool:
    """Whether they are the same number; which values of it are better does not matter."""
    return (one.kind, one.ids, one.name, one.stat) == (other.kind, other.ids, other.name, other.stat)


def _text(column: Field) -> str:
    return quoted(column.key)
