"""Zip files made piece by piece while they are sent or stored: neither the files in them nor the zip is ever in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1 << 20
SMALL_BYTES = 8 << 20
"""Larger files are stored as they are: weights and images hardly shrink, and sending should not wait for it."""
DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the zip: its name there, and what it holds or where that lies."""

    name: str
    content: str | bytes | Path


class _Pipe:
    """What a ZipFile writes to; no seek, so that it writes straight on."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def write(self, data: bytes) -> int:
        self.waiting += data
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data = bytes(self.waiting)
        self.waiting.clear()
        return data


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The bytes of a zip of these files, equal for equal files; OSError when one of them is gone."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", allowZip64=True) as archive:  # type: ignore[call-overload]
        for entry in entries:
            for _ in _written(archive, entry):
                if pipe.waiting:
                    yield pipe.take()
    yield pipe.take()


def _written(archive: zipfile.ZipFile, entry: Entry) -> Iterator[None]:
    """Write one file, piece by piece."""
    info, content = zipfile.ZipInfo(entry.name, DATE), entry.content
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    if not isinstance(content, Path):
        archive.writestr(info, content)
        yield
        return
    with content.open("rb") as file:
        info.file_size = content.stat().st_size
        if info.file_size > SMALL_BYTES:
            info.compress_type = zipfile.ZIP_STORED
        with archive.open(info, "w", force_zip64=info.file_size >= 1 << 31) as into:
            while chunk := file.read(CHUNK_BYTES):
                into.write(chunk)
                yield
    yield
