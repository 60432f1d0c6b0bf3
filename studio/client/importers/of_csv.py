"""CSV: a column of steps and one of each metric, or the columns step, metric, value (as the studio exports them)."""

from __future__ import annotations

import csv
import socket
from collections.abc import Iterator
from pathlib import Path

from studio.client.importers.found import Found, Row, Series, blocks_of_rows
from trainer_core.events import MetricBlock

STEPS = ("step", "_step", "global_step", "iteration")
TIMES = ("time", "_timestamp", "timestamp", "wall_time")
EPOCHS = ("epoch",)
OTHER = ("attempt", "run")


def find(path: Path) -> Iterator[Found]:
    files = [path] if path.is_file() else sorted(path.rglob("*.csv"))
    for file in files:
        yield Found(
            identity=f"{socket.gethostname()}\n{file.resolve()}",
            name=file.stem if path.is_file() else str(file.relative_to(path).with_suffix("")),
            blocks=lambda file=file: _blocks(file),  # type: ignore[misc]
            ended=file.stat().st_mtime,
        )


def _blocks(file: Path) -> Iterator[MetricBlock]:
    with open(file, newline="", encoding="utf-8-sig") as text:
        reader = csv.DictReader(text)
        columns = reader.fieldnames or []
        step = next((name for name in STEPS if name in columns), None)
        if step is None:
            raise ValueError(
                f"{file}: its columns are {', '.join(columns)[:200]}; one of {', '.join(STEPS)} is needed."
            )
        time = next((name for name in TIMES if name in columns), None)
        lines = ((reader.line_num, row) for row in reader)
        if {"metric", "value"} <= set(columns):
            yield from _long(file, lines, step, time)
        else:
            yield from blocks_of_rows(_wide(file, lines, step, time))


def _long(
    file: Path, lines: Iterator[tuple[int, dict[str, str]]], step: str, time: str | None
) -> Iterator[MetricBlock]:
    series = Series()
    for number, row in lines:
        name = row["metric"]
        if name[:2] in ("'=", "'+", "'-", "'@", "'\t", "'\r"):  # guarded against spreadsheets
            name = name[1:]
        place = f"{file}:{number}"
        at = _number(row[time], place, time) if time and row[time] else file.stat().st_mtime
        yield from series.add(name, _number(row[step], place, step), at, _number(row["value"], place, "value"))
    yield from series.rest()


def _wide(file: Path, lines: Iterator[tuple[int, dict[str, str]]], step: str, time: str | None) -> Iterator[Row]:
    """A cell that is empty is no point; a column of text is none either."""
    apart = {step, time, *EPOCHS, *OTHER}
    for number, row in lines:
        if not row[step]:
            continue
        place = f"{file}:{number}"
        values = {}
        for name, cell in row.items():
            if name not in apart and cell:
                try:
                    values[name] = float(cell)
                except (TypeError, ValueError):
                    continue
        epoch = next((_number(row[name], place, name) for name in EPOCHS if row.get(name)), 0.0)
        at = _number(row[time], place, time) if time and row[time] else file.stat().st_mtime
        yield _number(row[step], place, step), epoch, at, values


def _number(cell: str, place: str, name: str) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {name}: got {cell!r}, a number is needed.") from error
