"""Columns of float64 as compressed bytes and back, bit for bit.

Each column is cut into its eight byte planes and compressed by zstd, once as it is and once as differences of its bits
(modulo 2^64); the smaller one is kept. So regular steps and times cost next to nothing, and values that were float32
about four bytes. NaN of any payload, ±inf and -0.0 come back as they were.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence

import numpy as np
import zstandard
from numpy.typing import NDArray

Floats = NDArray[np.float64]
VERSION, ZSTD_LEVEL = 1, 3
HEAD = struct.Struct("<BBI")  # version, columns, rows
COLUMN = struct.Struct("<BI")  # 1 for differences, bytes
_own = threading.local()  # zstd contexts belong to one thread


def pack(columns: Sequence[Floats]) -> bytes:
    """Columns (n,) of one length; at most 255 of them."""
    rows = len(columns[0])
    heads, bodies = [HEAD.pack(VERSION, len(columns), rows)], []
    for column in columns:
        bits = np.ascontiguousarray(column, dtype="<f8").view("<i8")
        plain, deltas = (_compressed(b) for b in (bits, np.diff(bits, prepend=bits.dtype.type(0))))
        is_delta = len(deltas) < len(plain)
        bodies.append(deltas if is_delta else plain)
        heads.append(COLUMN.pack(is_delta, len(bodies[-1])))
    return b"".join(heads + bodies)


def unpack(data: bytes | memoryview, wanted: Sequence[int]) -> list[Floats]:
    """The columns with these numbers. ValueError or zstandard.ZstdError for bytes that `pack` did not make."""
    version, count, rows = HEAD.unpack_from(data)
    if version != VERSION or max(wanted, default=-1) >= count:
        raise ValueError(f"columns of version {version}, {count} of them; wanted are {list(wanted)} of {VERSION}")
    at = HEAD.size + count * COLUMN.size
    places = []
    for k in range(count):
        is_delta, size = COLUMN.unpack_from(data, HEAD.size + k * COLUMN.size)
        places.append((is_delta, at, at + size))
        at += size
    return [_restored(data[places[k][1] : places[k][2]], rows, is_delta=bool(places[k][0])) for k in wanted]


def count_of(data: bytes | memoryview) -> int:
    """How many columns `pack` was given."""
    count: int = HEAD.unpack_from(data)[1]
    return count


def packs(data: bytes | memoryview) -> list[memoryview]:
    """One after another, what several calls of `pack` made and was put together."""
    view, found = memoryview(data), []
    while view:
        _, count, _ = HEAD.unpack_from(view)
        heads = HEAD.size + count * COLUMN.size
        end = heads + sum(size for _, size in COLUMN.iter_unpack(view[HEAD.size : heads]))
        found.append(view[:end])
        view = view[end:]
    return found


def _compressed(bits: NDArray[np.int64]) -> bytes:
    if not hasattr(_own, "compressor"):
        _own.compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    return _own.compressor.compress(bits.view(np.uint8).reshape(-1, 8).T.tobytes())


def _restored(data: bytes | memoryview, rows: int, *, is_delta: bool) -> Floats:
    if not hasattr(_own, "decompressor"):
        _own.decompressor = zstandard.ZstdDecompressor()
    planes = np.frombuffer(_own.decompressor.decompress(data), dtype=np.uint8).reshape(8, rows)
    bits = np.ascontiguousarray(planes.T).reshape(-1).view("<i8")
    return (np.cumsum(bits, dtype="<i8") if is_delta else bits).view("<f8")
