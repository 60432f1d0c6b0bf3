"""Looks at tables in files with types: Parquet, and JSON objects one a line; a batch at a time, as text cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studio.registry.look.found import Found
from studio.registry.tables.columns import Column
from studio.registry.tables.inspection import MAX_ROWS, PREVIEW_CHARS, PREVIEW_ROWS, described
from studio.registry.tables.reading import MAX_COLUMNS, TableError, check_header

BATCH_ROWS = 4096
MAX_LINE_BYTES = 4 << 20
KEYS = 10_000
ALL_KEYS = 400_000
Batch = dict[str, list[str]]


def look_at_records(path: Path, progress: Callable[[float], None]) -> Found:
    """TableError for what is neither, or cannot be a table."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    notices: list[str] = []
    batches = _parquet(path, notices, progress) if is_parquet else _jsonl(path, notices, progress)
    columns, preview, rows = _gather(batches)
    if not rows:
        raise TableError("The file has no rows.")
    check_header(list(columns))
    schema = {
        "rows": rows,
        "encoding": "utf-8",
        "delimiter": ",",
        "notices": notices,
        "columns": described(columns.values()),
    }
    return Found("ParquetTable" if is_parquet else "JSONLTable", schema, {"rows": preview})


def _gather(batches: Iterator[tuple[int, Batch]]) -> tuple[dict[str, Column], list[list[str]], int]:
    columns: dict[str, Column] = {}
    shown: list[Batch] = []
    rows = 0
    for count, batch in batches:
        for name in batch:
            if name not in columns:
                if len(columns) >= MAX_COLUMNS:
                    raise TableError(f"The file has more than {MAX_COLUMNS:,} columns.")
                keys = max(200, min(KEYS, ALL_KEYS // max(1, len(batch))))
                columns[name] = Column(name.strip(), sample=keys, keys=keys)
                if rows:
                    columns[name].add([""] * rows, 1)
        for name, column in columns.items():
            column.add(batch.get(name) or [""] * count, rows + 1)
        if rows < PREVIEW_ROWS:
            shown.append({name: cells[: PREVIEW_ROWS - rows] for name, cells in batch.items()})
        rows += count
        if rows > MAX_ROWS:
            raise TableError(f"The file has more than {MAX_ROWS:,} rows.")
    preview = []
    for batch in shown:
        length = max(map(len, batch.values()), default=0)
        padded = [batch.get(name) or [""] * length for name in columns]
        preview += [[cell[:PREVIEW_CHARS] for cell in row] for row in zip(*padded, strict=True)]
    return columns, preview, rows


def _parquet(path: Path, notices: list[str], progress: Callable[[float], None]) -> Iterator[tuple[int, Batch]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, memory_map=True)
        total, schema = file.metadata.num_rows, file.schema_arrow
        if total > MAX_ROWS:
            raise TableError(f"The file has {total:,} rows; at most {MAX_ROWS:,} are read.")
        usable = [f.name for f in schema if not pa.types.is_nested(f.type) and not _is_bytes(pa, f.type)]
        left = [f.name for f in schema if f.name not in usable]
        if left:
            notices.append(f"Columns of lists, structures or bytes are left out: {', '.join(left[:10])}.")
        if len(usable) > MAX_COLUMNS:
            raise TableError(f"The file has {len(usable):,} columns; at most {MAX_COLUMNS:,} are read.")
        done = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=usable):
            cells = {}
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if pa.types.is_dictionary(column.type):
                    column = column.dictionary_decode()
                cells[name] = pc.fill_null(column.cast(pa.string()), "").to_pylist()
            yield batch.num_rows, cells
            done += batch.num_rows
            progress(done / max(total, 1))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise TableError(f"The Parquet file cannot be read: {first}.", hint="Write or send it again.") from error


def _is_bytes(pa: Any, kind: Any) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _jsonl(path: Path, notices: list[str], progress: Callable[[float], None]) -> Iterator[tuple[int, Batch]]:
    size, rows, nested = path.stat().st_size, [], set()
    number = 0
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                raise TableError(f"Line {number:,} is longer than {MAX_LINE_BYTES:,} bytes.", line=number)
            if not line.strip():
                continue
            row = _object(line, number)
            nested |= {k for k, v in row.items() if isinstance(v, list | dict)}
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield len(rows), _cells(rows)
                rows = []
                progress(file.tell() / size)
    if rows:
        yield len(rows), _cells(rows)
    if nested:
        some = ", ".join(sorted(nested)[:10])
        notices.append(f"Lists and objects count as missing; they are in: {some}.")


def _object(line: bytes, number: int) -> dict[str, Any]:
    hint = 'Each line is one object, such as {"height": 1.2, "kind": "a"}.'
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise TableError(f"Line {number:,} is not UTF-8.", line=number, hint="Save the file as UTF-8.") from error
    except RecursionError as error:
        raise TableError(f"Line {number:,} is nested too deeply.", line=number, hint=hint) from error
    except ValueError as error:
        raise TableError(f"Line {number:,} is no JSON: {error}.", line=number, hint=hint) from error
    if not isinstance(row, dict):
        raise TableError(f"Line {number:,} holds no object.", line=number, hint=hint)
    return row


def _cells(rows: list[dict[str, Any]]) -> Batch:
    names = dict.fromkeys(key for row in rows for key in row)
    return {name: [_cell(row.get(name)) for row in rows] for name in names}


def _cell(value: Any) -> str:
    """As the engine's JSONLTable reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, str | int) else ""
