"""All points of one run or many as a file that is made while it is sent: CSV, JSON lines, Parquet.

A row a point: run (its number), attempt, step, epoch, time (seconds since 1970), metric, value. Values are float64,
exactly: text has the shortest digits that give the same number again. NaN and the infinities are nan, inf, -inf in CSV
and the words NaN, Infinity, -Infinity in JSON.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

import numpy as np
from django.http import StreamingHttpResponse

from studio.core.download import Still, stream_parts
from studio.runs.models import Run
from studio.tracking.ingest import json_number
from studio.tracking.stored import limits_of, rows_where, steps_of, streamed_blocks
from trainer_core.events import MetricBlock

Form = Literal["csv", "jsonl", "parquet"]
FORMS: dict[Form, str] = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
COLUMNS = ("run", "attempt", "step", "epoch", "time", "metric", "value")
PART_BYTES, GROUP_ROWS = 1 << 18, 1 << 17

Piece = tuple[int, int, MetricBlock]  # run number, attempt, rows


def stream_points(
    runs: Iterable[Run],
    form: Form,
    name: str,
    *,
    still: Still | None,
    metrics: Collection[str] | None = None,
    abandoned: bool = False,
) -> StreamingHttpResponse:
    """A download; the caller has checked the right to read, for which `still` asks again. Memory does not grow with the points."""
    parts = export(runs, form, metrics, abandoned=abandoned)
    return stream_parts(parts, f"{name}.{form}", FORMS[form], still=still)


def export(
    runs: Iterable[Run], form: Form, metrics: Collection[str] | None = None, *, abandoned: bool = False
) -> Iterator[bytes]:
    pieces = _pieces(runs, metrics, abandoned=abandoned)
    return {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[form](pieces)


def _pieces(runs: Iterable[Run], metrics: Collection[str] | None, *, abandoned: bool) -> Iterator[Piece]:
    for run in runs:
        limits = {} if abandoned else limits_of(run.pk)
        for fence, block in streamed_blocks(run.pk, run.last_seq, metrics):
            limit = limits.get(fence)
            kept = block if limit is None else rows_where(block, steps_of(block) <= limit)
            if len(kept):
                yield run.number, fence, kept


def _csv(pieces: Iterator[Piece]) -> Iterator[bytes]:
    lines, size = [",".join(COLUMNS) + "\r\n"], 0
    for run, fence, block in pieces:
        columns = [(f",{_cell(n)},", v) for n, v in zip(block.names, block.values, strict=True)]
        for i, step in enumerate(block.steps):
            head = f"{run},{fence},{_step(step)},{block.epochs[i]!r},{block.times[i]!r}"
            lines += [f"{head}{name}{column[i]!r}\r\n" for name, column in columns]
            size += len(columns) * 64
            if size > PART_BYTES:
                yield "".join(lines).encode()
                lines, size = [], 0
    yield "".join(lines).encode()


def _jsonl(pieces: Iterator[Piece]) -> Iterator[bytes]:
    lines: list[str] = []
    size = 0
    for run, fence, block in pieces:
        columns = [(json.dumps(n, ensure_ascii=False), v) for n, v in zip(block.names, block.values, strict=True)]
        for i, step in enumerate(block.steps):
            epoch, time = _json(block.epochs[i]), _json(block.times[i])
            head = f'{{"run":{run},"attempt":{fence},"step":{_step(step)},"epoch":{epoch},"time":{time},"metric":'
            lines += [f'{head}{name},"value":{_json(column[i])}}}\n' for name, column in columns]
            size += len(columns) * 100
            if size > PART_BYTES:
                yield "".join(lines).encode()
                lines, size = [], 0
    yield "".join(lines).encode()


def _parquet(pieces: Iterator[Piece]) -> Iterator[bytes]:
    """Row groups of about GROUP_ROWS points, each sent when it is full; `metric` is a dictionary of each group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"run": pa.int64(), "attempt": pa.int32(), "metric": pa.dictionary(pa.int32(), pa.string())}
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in COLUMNS])
    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd", write_statistics=["run", "attempt", "step"]) as writer:
        group: list[dict[str, Any]] = []
        rows = 0
        for piece in pieces:
            for part in _parts(piece):
                group.append(part)
                rows += part["run"].size
                if rows >= GROUP_ROWS:
                    writer.write_table(_table(group, schema))
                    group, rows = [], 0
                    yield sink.taken()
        if group:
            writer.write_table(_table(group, schema))
    yield sink.taken()


def _parts(piece: Piece) -> Iterator[dict[str, Any]]:
    """Columns of at most about GROUP_ROWS points, in the order of the rows."""
    run, fence, block = piece
    width = len(block.names)
    shared = {"step": block.steps, "epoch": block.epochs, "time": block.times}
    table = np.array([np.frombuffer(column, dtype=np.float64) for column in block.values])  # (metrics, n)
    at_once = max(1, GROUP_ROWS // width)
    for at in range(0, len(block), at_once):
        values = table[:, at : at + at_once]
        n = values.size
        columns = {
            k: np.repeat(np.frombuffer(v, dtype=np.float64)[at : at + at_once], width) for k, v in shared.items()
        }
        yield {
            **columns,
            "run": np.full(n, run, dtype=np.int64),
            "attempt": np.full(n, fence, dtype=np.int32),
            "value": values.T.reshape(-1),
            "names": block.names,
        }


def _table(parts: list[dict[str, Any]], schema: Any) -> Any:
    """One table; the names of all parts become one dictionary."""
    import pyarrow as pa

    places: dict[str, int] = {}
    indices = []
    for part in parts:
        own = np.array([places.setdefault(name, len(places)) for name in part["names"]], dtype=np.int32)
        indices.append(np.tile(own, part["run"].size // own.size))
    metric = pa.DictionaryArray.from_arrays(np.concatenate(indices), pa.array(list(places), pa.string()))
    columns = [metric if c == "metric" else pa.array(np.concatenate([p[c] for p in parts])) for c in COLUMNS]
    return pa.table(columns, schema=schema)


class _Sink(io.RawIOBase):
    """Takes what a writer writes until it is sent."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._kept.append(bytes(data))
        self._size += len(self._kept[-1])
        return len(self._kept[-1])

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        kept, self._kept = b"".join(self._kept), []
        return kept


def _step(step: float) -> str:
    return str(int(step)) if step.is_integer() else repr(step)


def _json(value: float) -> str:
    return repr(value) if value - value == 0 else f'"{json_number(value)}"'


def _cell(name: str) -> str:
    """A name that a spreadsheet does not take for a formula, quoted where CSV asks for it."""
    name = f"'{name}" if name[:1] in "=+-@\t\r" else name
    return '"' + name.replace('"', '""') + '"' if any(c in name for c in ',"\r\n') else name
