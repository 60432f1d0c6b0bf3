"""Files of every kind that a dataset can be made of, built in memory; and the same ones made hostile."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from PIL import Image


def png(shade: int, size: tuple[int, int] = (12, 10)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade, shade // 2, 40)).save(out, "PNG")
    return out.getvalue()


def zipped(entries: dict[str, bytes] | list[tuple[Any, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, data)
    return out.getvalue()


def pets(count: int = 8) -> dict[str, bytes]:
    return {f"pets/{kind}/{n}.png": png(base + n) for kind, base in (("cat", 20), ("dog", 200)) for n in range(count)}


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def npy(array: Any, *, allow_pickle: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=allow_pickle)
    return out.getvalue()


def npy_header(text: str, data: bytes = b"") -> bytes:
    body = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body + data


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, target.encode()


def overlapping() -> bytes:
    """Two entries of the directory that point at the same bytes: a few bytes declare many."""
    data = bytearray(zipped({"a/1.png": png(1), "a/2.png": png(2), **pets()}))
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(zipped(pets()))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def png_of(width: int, height: int) -> bytes:
    """A small PNG whose header announces many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def with_pets(**more: bytes) -> bytes:
    return zipped({**pets(), **more})


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def named(name: str) -> bytes:
    """A zip with an entry of exactly this name, which `zipfile` would mend while writing."""
    stand_in = "x" * len(name.encode())
    return with_pets(**{stand_in: b"1"}).replace(stand_in.encode(), name.encode())


BOMB = zipped({**pets(), "pets/cat/bomb.bmp": b"\0" * (30 << 20)}, zipfile.ZIP_DEFLATED)
LONG = "a" * 300 + ".png"
# What is sent, as which kind, and words of the reason.
HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "a path that climbs out": ("images", named("../../evil.png"), "leads out of the archive"),
    "a path that climbs in the middle": ("images", named("pets/../../e.png"), "leads out of the archive"),
    "an absolute path": ("images", named("/etc/evil.png"), "no path inside"),
    "a backslash": ("images", named("..\\evil.png"), "no path inside"),
    "a drive": ("images", named("C:/evil.png"), "no path inside"),
    "a NUL in a name": ("images", named("a\0b.png"), "control characters"),
    "a long name": ("images", with_pets(**{LONG: b"1"}), "more than 255 bytes"),
    "a link": ("images", zipped([*pets().items(), link("pets/cat/link.png", "/etc/passwd")]), "a link or a device"),
    "names that differ in case": ("images", with_pets(**{"pets/CAT/0.png": png(1)}), "names collide"),
    "entries that overlap": ("images", overlapping(), "overlaps"),
    "an encrypted entry": ("images", encrypted(), "encrypted"),
    "a bomb": ("images", BOMB, "would grow to"),
    "an archive in the archive": ("images", with_pets(**{"more.zip": zipped(pets())}), "archive inside"),
    "a compression that is not read": ("images", zipped(pets(), zipfile.ZIP_LZMA), "compressed in a way"),
    "a zip cut off": ("images", zipped(pets())[:-60], "cut off"),
    "a damaged entry": ("images", flipped(zipped(pets()), 60), "damaged"),
    "no zip at all": ("images", b"<html>" * 100, "not a zip"),
    "a polyglot": ("images", b"GIF89a" + zipped(pets()), "not a zip"),
    "no image": ("images", zipped({"a/readme.txt": b"hello"}), "holds 0 images"),
    "one class": ("images", zipped({f"a/{n}.png": png(n) for n in range(8)}), "no classes"),
    "a flood of pixels": ("images", with_pets(**{"pets/cat/big.png": png_of(60_000, 60_000)}), "million pixels"),
    "text called an image": ("images", with_pets(**{"pets/cat/x.png": b"<svg onload=alert(1)>"}), "cannot be read"),
    "a program called an image": ("images", with_pets(**{"pets/cat/x.png": b"\x7fELF" * 40}), "cannot be read"),
    "an image cut off": ("images", with_pets(**{"pets/cat/x.png": png(9, (64, 64))[:70]}), "cannot be read"),
    "pickled objects": ("arrays", npy(np.array([{"a": 1}] * 9), allow_pickle=True), "pickled"),
    "pickled objects in an npz": ("arrays", npz(x=np.ones((9, 2)), y=np.array([{}] * 9, dtype=object)), "pickled"),
    "a shape that is not there": (
        "arrays",
        npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 1000), }", b"\0" * 80),
        "do not fit",
    ),
    "a header that is code": ("arrays", npy_header("__import__('os').system('true')"), "cannot be read"),
    "a header of another type": ("arrays", npy_header("[1, 2"), "cannot be read"),
    "a negative shape": ("arrays", npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-4,), }"), "not fit"),
    "an npz with something else": ("arrays", zipped({"x.npy": npy(np.ones((9, 2))), "run.py": b"1"}), "is no array"),
    "arrays of different lengths": ("arrays", npz(x=np.ones((9, 2)), y=np.zeros(8)), "have to be as many"),
    "inputs without targets": ("arrays", npz(x=np.ones((9, 2, 2, 2))), "no array with one target"),
    "a Parquet file cut off": ("table", b"PAR1" + b"\0" * 500, "Parquet file cannot be read"),
    "JSON that ends early": ("table", b'{"a": 1, "b": 2}\n{"a": 1,\n', "Line 2 is no JSON"),
    "JSON nested without end": ("table", b'{"a":' + b"[" * 100_000 + b"\n", "nested too deeply"),
    "a number of many digits": ("table", b'{"a": ' + b"9" * 10_000 + b', "b": 1}\n', "Line 1 is no JSON"),
    "a list where an object should be": ("table", b'{"a": 1, "b": 2}\n[1]\n', "holds no object"),
    "an endless line": ("table", b'{"a": "' + b"x" * (5 << 20), "longer than"),
    "a workbook": ("table", b"PK\x03\x04" + b"\0" * 400, "Excel"),
    "a binary text": ("text", bytes(range(256)) * 20, "NUL byte"),
}
