"""The spool: what a trainer tells its supervisor, as CRC-framed records appended to segment files.

A segment is `seg-000001.log`, `seg-000002.log`, …; a frame is `length u32 | crc32 u32 | type u8 | payload`
(little-endian; the CRC covers type and payload). A torn frame at the end of the newest segment is normal after a
crash and is not read; a bad frame elsewhere raises `SpoolError`.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trainer_core.errors import SpoolError

HEAD = struct.Struct("<II")
EVENT, METRICS, MEDIA = 1, 2, 3
SEGMENT_BYTES = 64 << 20
MAX_FRAME_BYTES = 32 << 20
READ_BYTES = 8 << 20
#: A file of this name in RUN_DIR asks for a checkpoint after the current step; whoever hears it removes it.
SAVE_ORDER = "save.order"

# Kinds of EVENT frames (JSON objects with "kind" and "t", seconds since the epoch):
#   phase       {"name": "loading data"}                      what the child is doing before `ready`
#   ready       {"resume_step": int, "max_steps": int|None, "max_epochs": int|None, "batches": int|None, "device": str,
#                "parameters": int}                           model and data are built; training starts after resume_step
#   progress    {"stage", "epoch", "step", "batch", "batches", "fraction": 0..1|None, "eta_s": float|None,
#                "steps_per_s", "pace" and "usual_pace" (of training alone: of the last 10 s, and of before those),
#                "elapsed_s", "breakdown": {"data": s, "copy": s, "compute": s, "validation": s,
#                "save": s, "other": s} since this attempt began to train,
#                "logging": {"calls": int, "s": on the training thread, "beside_s": of the thread that writes}}
#                                                           at most every 0.5 s
#   checkpoint  {"step", "epoch", "name": folder below checkpoints/, "size_bytes", "manifest_sha256", "metrics": {},
#                "reason": "epoch"|"interval"|"asked"|"stop"|"end", "score": float|None, "best": bool}
#   results     {"checkpoint": folder|None, "task": "classification"|"regression"|None, "reason": words if there are none,
#                "split", "rows", "nonfinite", "worst": [{"index", "loss", "true", "predicted", "preview"}], and more by
#                task: see trainer_core.evaluation}           once, at the end of a run that trained to its end
#   notice      {"level": "info"|"warning"|"error", "text"}   shown on the run page
#   done        {"outcome", "reason", "traceback", "step", "epoch"}          the only proof of a proper end
#
# A MEDIA frame is a JSON object: {"kind": one of MEDIA_KINDS, "key", "step": as the caller counts, "at": optimizer steps
# done then, "epoch", "t", "items": [{"sha256", "size", "mime": one of MIMES, "caption", "meta"}]}. The bytes of an item are
# the file media/<sha256> of the run's folder, complete before the frame is written; whoever takes them over removes it.
MEDIA_KINDS = ("image", "histogram", "table", "text", "audio", "matrix", "figure")
MAX_MEDIA_BYTES = 16 << 20
MOST_MEDIA_ITEMS = 64
#: What the first bytes of a file say that it is; SVG and HTML are none of them, since they can hold programs.
MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
)
OUTCOMES = (
    "ok", "user_error", "nan_stop", "oom_cuda", "oom_host", "hung", "died", "lost", "preempted", "infra",
    "paused", "cancelled", "data_changed", "unkillable", "time_limit",
)  # fmt: skip


class Position(NamedTuple):
    """A place in a spool: the segment's number and the byte offset of the next frame."""

    segment: int
    offset: int


START = Position(1, 0)


@dataclass(frozen=True, slots=True)
class Frame:
    """One record; `after` is where the next one starts."""

    type: int
    payload: bytes
    after: Position

    def event(self) -> dict[str, Any]:
        return json.loads(self.payload)

    def metrics(self) -> MetricBlock:
        return MetricBlock.decode(self.payload)


@dataclass(frozen=True, slots=True)
class MetricBlock:
    """`n` rows of the same metric names: column-major float64, so that a flush is one blob.

    steps (n,) int; epochs (n,), times (n,) seconds since the epoch, values[k] (n,) for names[k]. NaN and ±inf are
    values like any other.
    """

    names: tuple[str, ...]
    steps: array[float]
    epochs: array[float]
    times: array[float]
    values: tuple[array[float], ...]

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def from_rows(
        cls, names: Sequence[str], rows: Sequence[tuple[float, float, float, Sequence[float]]]
    ) -> MetricBlock:
        """rows: (step, epoch, time, values in the order of names)."""
        return cls(
            names=tuple(names),
            steps=array("d", [r[0] for r in rows]),
            epochs=array("d", [r[1] for r in rows]),
            times=array("d", [r[2] for r in rows]),
            values=tuple(array("d", [r[3][k] for r in rows]) for k in range(len(names))),
        )

    def columns(self) -> bytes:
        """steps, epochs, times, then each metric: little-endian float64, `(3 + len(names)) * n * 8` bytes."""
        return b"".join(_little(c).tobytes() for c in (self.steps, self.epochs, self.times, *self.values))

    def encode(self) -> bytes:
        return encode_metrics(self.names, len(self), self.columns())

    @classmethod
    def decode(cls, payload: bytes) -> MetricBlock:
        try:
            (size,) = struct.unpack_from("<I", payload)
            head = json.loads(payload[4 : 4 + size])
            names, n = tuple(head["names"]), head["n"]
            return cls.from_columns(names, n, payload[4 + size :])
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise SpoolError(f"a metrics frame does not decode: {error}") from error

    @classmethod
    def from_columns(cls, names: Sequence[str], n: int, data: bytes) -> MetricBlock:
        """ValueError when `data` has not the size that names and n ask for."""
        width = n * 8
        if len(data) != width * (3 + len(names)):
            raise ValueError(f"{len(data)} bytes for {len(names)} metrics of {n} rows")
        columns = []
        for k in range(3 + len(names)):
            column = array("d")
            column.frombytes(data[k * width : (k + 1) * width])
            columns.append(_little(column))
        return cls(tuple(names), columns[0], columns[1], columns[2], tuple(columns[3:]))


def encode_metrics(names: Sequence[str], n: int, columns: bytes) -> bytes:
    """The payload of a METRICS frame; `columns` as `MetricBlock.columns` gives them."""
    head = json.dumps({"names": list(names), "n": n}, ensure_ascii=False).encode()
    return struct.pack("<I", len(head)) + head + columns


def _little(column: array[float]) -> array[float]:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"seg-{number:06d}.log"


def sniff(data: bytes) -> str:
    """The type that a file of an image or a sound is by its first bytes; empty for anything else."""
    if data[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(data[8:12], "")
    if data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE6 == 0xE2:  # MPEG audio, layer 3
        return "audio/mpeg"
    return next((mime for magic, mime in MAGIC if data.startswith(magic)), "")


class SpoolWriter:
    """Appends frames; `write` reaches the kernel at once (survives kill -9), `sync` reaches the disk."""

    def __init__(self, folder: str | Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = Path(folder)
        #: Where the bytes of media lie until they are taken over.
        self.media_folder = self._folder.parent / "media"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._segment_bytes = segment_bytes
        newest = max((int(p.stem[4:]) for p in self._folder.glob("seg-*.log")), default=0)
        if newest:
            _cut_torn_end(self._folder, newest)
        self._number = newest + 1
        self._fd, self._size = self._open()

    def _open(self) -> tuple[int, int]:
        path = segment_path(self._folder, self._number)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), 0

    def write(self, *frames: tuple[int, bytes]) -> None:
        """Append (type, payload) frames with one system call. OSError when the disk is full: nothing is half kept."""
        data = b"".join(_frame(kind, payload) for kind, payload in frames)
        if self._size and self._size + len(data) > self._segment_bytes:
            os.close(self._fd)
            self._number += 1
            self._fd, self._size = self._open()
        view, start = memoryview(data), self._size
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, start)
            raise
        self._size += len(data)

    def event(self, kind: str, /, **fields: Any) -> None:
        """Append one EVENT frame."""
        self.write((EVENT, encode_event(kind, fields)))

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def encode_event(kind: str, fields: Mapping[str, Any]) -> bytes:
    """JSON of an event; non-finite numbers become the strings NaN, Infinity, -Infinity."""
    return json.dumps({"kind": kind, **finite(dict(fields))}, ensure_ascii=False, allow_nan=False).encode()


def finite(value: Any) -> Any:
    """What JSON can hold: NaN and infinities, however deep, as the words NaN, Infinity, -Infinity; keys as text."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def _frame(kind: int, payload: bytes) -> bytes:
    if len(payload) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(payload)} bytes; at most {MAX_FRAME_BYTES} are allowed")
    body = bytes((kind,)) + payload
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def _cut_torn_end(folder: Path, number: int) -> None:
    """Shorten the newest segment to its last whole frame, as a crash of its writer may have left half of one."""
    end = 0
    for frame in read_spool(folder, Position(number, 0), limit_bytes=sys.maxsize):
        end = frame.after.offset
    os.truncate(segment_path(folder, number), end)


def frames_of(data: bytes, position: Position) -> Iterator[Frame]:
    """The whole frames at the beginning of `data`, which lies at `position`; SpoolError for a damaged one."""
    at = 0
    while at + HEAD.size <= len(data):
        size, crc = HEAD.unpack_from(data, at)
        if size == 0 or size > MAX_FRAME_BYTES + 1:
            raise SpoolError(f"segment {position.segment} is damaged at byte {position.offset + at}")
        body = data[at + HEAD.size : at + HEAD.size + size]
        if len(body) < size:
            return
        if zlib.crc32(body) != crc:
            raise SpoolError(f"segment {position.segment} is damaged at byte {position.offset + at}")
        at += HEAD.size + size
        yield Frame(body[0], body[1:], Position(position.segment, position.offset + at))


def read_spool(folder: str | Path, position: Position = START, *, limit_bytes: int = 8 << 20) -> Iterator[Frame]:
    """Frames from `position` on, at most about `limit_bytes` of them; stops at a torn end.

    SpoolError for a frame that is bad in the middle of the spool (a later segment exists).
    """
    folder = Path(folder)
    segment, offset = position
    taken = 0
    while taken < limit_bytes:
        path = segment_path(folder, segment)
        later = segment_path(folder, segment + 1).exists()
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                data = file.read(min(max(limit_bytes - taken, HEAD.size), READ_BYTES))
                if len(data) >= HEAD.size:
                    need = HEAD.size + min(HEAD.unpack_from(data)[0], MAX_FRAME_BYTES + 1)
                    if len(data) < need:
                        data += file.read(need - len(data))
        except FileNotFoundError:
            return
        at = 0
        while at + HEAD.size <= len(data):
            size, crc = HEAD.unpack_from(data, at)
            body = data[at + HEAD.size : at + HEAD.size + size]
            if size == 0 or size > MAX_FRAME_BYTES + 1 or (len(body) == size and zlib.crc32(body) != crc):
                if later:
                    raise SpoolError(f"{path.name} is damaged at byte {offset + at}")
                return
            if len(body) < size:
                break
            at += HEAD.size + size
            yield Frame(body[0], body[1:], Position(segment, offset + at))
        offset += at
        taken += at
        if at == 0:
            if not later:
                return
            if data:
                raise SpoolError(f"{path.name} is damaged at byte {offset}")
            segment, offset = segment + 1, 0
