"""All runs that fit the filter, with the table's columns, as CSV or JSON: a piece at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from studio.runs import facts
from studio.runs.models import Run
from studio.runs.table.cells import Values, read
from studio.runs.table.fields import Field
from studio.runs.table.select import Table

PIECE = 500
BEST = ("best_metric", "best")  # where the table shows it: of the metric that a run watches, or that tells most
ALWAYS = ("number", "name", "state", "model", "dataset", "created", "by", "duration_s", "tags", "note")


def as_csv(table: Table) -> Iterator[str]:
    """A line for each run; names that a spreadsheet would take for a formula get an apostrophe."""
    columns = _columns(table)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([*ALWAYS, *(BEST if shows_best(table) else ()), *(_safe(column.key) for column in columns)])
    for rows in _pieces(table, columns):
        for row in rows:
            writer.writerow([_safe(_text(value)) for value in row.values()])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def as_json(table: Table) -> Iterator[str]:
    """A list of objects, one for each run."""
    yield "["
    first = True
    for rows in _pieces(table, _columns(table)):
        yield ("" if first else ",") + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        first = False
    yield "]\n"


def shows_best(table: Table) -> bool:
    return any(column.kind == "fact" and column.name == "best" for column in table.columns)


def _columns(table: Table) -> list[Field]:
    return [column for column in table.columns if column.kind != "fact"]


def _pieces(table: Table, columns: list[Field]) -> Iterator[list[dict[str, Any]]]:
    pks = list(table.ordered().values_list("pk", flat=True))
    for at in range(0, len(pks), PIECE):
        runs = read(pks[at : at + PIECE])
        values = Values(table, runs)
        with_best = shows_best(table)
        yield [_row(run, values, columns, with_best=with_best) for run in runs]


def _row(run: Run, values: Values, columns: list[Field], *, with_best: bool) -> dict[str, Any]:
    took = facts.duration_s(run)
    found: dict[str, Any] = {
        "number": run.number,
        "name": run.name,
        "state": run.state,
        "model": str(run.model_version),
        "dataset": str(run.dataset_version),
        "created": run.created_at.isoformat(),
        "by": str(run.created_by or ""),
        "duration_s": None if took is None else round(took, 3),
        "tags": run.tags,
        "note": run.note,
    }
    if with_best:
        cell = values.cell(run, Field("fact", "best"))
        found |= dict(zip(BEST, (cell.sub or None, cell.number), strict=True))
    for column in columns:
        cell = values.cell(run, column)
        found[column.key] = cell.number if cell.number is not None else None if cell.text == "–" else cell.text
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def _safe(text: str) -> str:
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
    return text
