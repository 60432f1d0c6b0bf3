"""Weights & Biases: the .wandb file of an offline run, records of protobuf in 32 KiB blocks.

A file begins with 7 bytes that name the format; a piece of a record is `crc32 u32 | length u16 | kind u8 | bytes`
(little-endian, the CRC over kind and bytes; kind is whole 1, first 2, middle 3, last 4) and never crosses a block.
The package wandb has the classes of the records.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.client.importers.found import Found, Row, blocks_of_rows
from studio.client.importers.found_media import FoundMedia
from studio.client.importers.wandb_media import media_of_row

BLOCK, PIECE, MAGIC = 32 << 10, struct.Struct("<IHB"), b":W&B\xe1\xbe"
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def find(path: Path) -> Iterator[Found]:
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*.wandb") if not _is_alias(p, path)):
        yield _found(file)


def _is_alias(file: Path, below: Path) -> bool:
    """`latest-run` is a link to another folder."""
    return any(p.is_symlink() for p in file.parents if below in p.parents)


def _found(file: Path) -> Found:
    config: dict[str, Any] = {}
    run, ended, code = None, None, None
    for record in _records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            config |= _config(run.config)
        elif kind == "config":
            config |= _config(record.config)
        elif kind == "exit":
            code = record.exit.exit_code
        elif kind == "history":
            ended = _values(record.history).get("_timestamp", ended)
    if run is None:
        raise ValueError(f"{file} holds no run.")
    outcome, reason = ("ok", "It finished.") if code == 0 else ("died", f"It ended with code {code}.")
    if code is None:
        reason = "Its end is not in the file."
    started = run.start_time.seconds + run.start_time.nanos / 1e9
    return Found(
        identity=f"{run.run_id}\n{started}",
        name=run.display_name or run.run_id,
        blocks=lambda: blocks_of_rows(_rows(file)),
        config=config,
        tags=list(run.tags),
        note=run.notes,
        started=started,
        ended=ended,
        outcome=outcome,
        reason=reason,
        media=lambda: _media(file),
    )


def _rows(file: Path) -> Iterator[Row]:
    for record in _records(file):
        if record.WhichOneof("record_type") == "history":
            values = _values(record.history)
            step = values.get("_step", float(record.history.step.num))
            epoch, time = values.get("epoch", 0.0), values.get("_timestamp", 0.0)
            yield step, epoch, time, {k: v for k, v in values.items() if not k.startswith("_")}


def _media(file: Path) -> Iterator[FoundMedia]:
    for record in _records(file):
        if record.WhichOneof("record_type") == "history" and (objects := _objects(record.history)):
            values = _values(record.history)
            step, time = values.get("_step", float(record.history.step.num)), values.get("_timestamp", 0.0)
            yield from media_of_row(objects, step, time, file.parent / "files")


def _objects(history: Any) -> dict[str, dict[str, Any]]:
    """Values with a `_type`, such as images: written as one object, or each of its parts under a nested name."""
    found: dict[str, dict[str, Any]] = {}
    if not any("_type" in item.nested_key or '"_type"' in item.value_json for item in history.item):
        return found
    for item in history.item:
        *above, last = list(item.nested_key) or [item.key]
        value = json.loads(item.value_json)
        if isinstance(value, dict):
            found[".".join([*above, last])] = value
        elif above:
            found.setdefault(".".join(above), {})[last] = value
    return {name: value for name, value in found.items() if isinstance(value.get("_type"), str)}


def _values(history: Any) -> dict[str, float]:
    """The numbers of a row; what is nested has the parts of its name joined by dots, as in their own tables."""
    found, objects = {}, _objects(history)
    for item in history.item:
        value = json.loads(item.value_json)
        if isinstance(value, int | float) and ".".join(item.nested_key[:-1]) not in objects:
            found[".".join(item.nested_key) or item.key] = float(value)
    return found


def _config(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in told.update:
        *above, last = list(item.nested_key) or [item.key]
        place = found
        for name in above:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)
    return {k: v for k, v in found.items() if k != "_wandb"}


def _records(file: Path) -> Iterator[Any]:
    try:
        from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]
    except ImportError as error:
        raise ImportError("The records of .wandb files need the package wandb: pip install wandb") from error
    for data in _framed(file):
        record = Record()
        record.ParseFromString(data)
        yield record


def _framed(file: Path) -> Iterator[bytes]:
    """Whole records; ValueError for damage, a torn end is left out."""
    size, record = file.stat().st_size, b""
    with open(file, "rb") as source:
        if not source.read(7).startswith(MAGIC):
            raise ValueError(f"{file} is no .wandb file.")
        while (at := source.tell()) + PIECE.size <= size:
            left = BLOCK - at % BLOCK
            if left < PIECE.size:
                source.seek(left, 1)
                continue
            crc, length, kind = PIECE.unpack(source.read(PIECE.size))
            if kind == 0 and length == 0:
                source.seek(max(left - PIECE.size, 0), 1)
                continue
            body = source.read(length)
            if len(body) < length:
                return
            if zlib.crc32(bytes((kind,)) + body) != crc:
                raise ValueError(f"{file} is damaged at byte {at}.")
            record = body if kind in (WHOLE, FIRST) else record + body
            if kind in (WHOLE, LAST):
                yield record
