"""A zip file that somebody sent, checked before anything of it is read: names, links, sizes, overlaps. Never unpacked."""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zipfile
from pathlib import Path
from typing import BinaryIO

from studio.registry.tables.reading import TableError

MAX_ENTRIES = 100_000
MAX_TOTAL_BYTES = 10 << 30
MAX_RATIO = 200
SMALL_BYTES = 1 << 20  # what is smaller may be as even as it likes
MAX_NAME_BYTES = 255
MAX_DIRECTORY_BYTES = 64 << 20
INNER_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".jar", ".whl", ".npz")
_LOCAL = struct.Struct("<4s5H3I2H")
_DRIVE = re.compile(r"^[A-Za-z]:")
HINT = "Make the archive again, with plain files and folders only."


def open_archive(path: str | Path, *, max_bytes: int = MAX_TOTAL_BYTES, max_ratio: int = MAX_RATIO) -> zipfile.ZipFile:
    """The archive, when all of it is harmless; TableError says which entry is not, and why."""
    with open(path, "rb") as file:
        _check_frame(file)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        raise TableError(f"The zip file is damaged: {error}.", hint="Make or send it again.") from error
    try:
        _check_entries(archive, max_bytes, max_ratio)
        with open(path, "rb") as file:
            _check_places(archive, file)
    except BaseException:
        archive.close()
        raise
    return archive


def read_entry(archive: zipfile.ZipFile, name: str, limit_bytes: int) -> bytes:
    """The bytes of one entry; TableError if they are more than allowed, or are not what the archive says of them."""
    info = archive.getinfo(name)
    if info.file_size > limit_bytes:
        raise TableError(f"{shown(name)} has {info.file_size:,} bytes; at most {limit_bytes:,} are read.")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise TableError(f"{shown(name)} is damaged in the archive.", hint="Make or send it again.") from error
    except Exception as error:  # zlib.error has no common base
        raise TableError(f"{shown(name)} cannot be unpacked: {error}.", hint="Make or send it again.") from error


def shown(name: str) -> str:
    """A name for a message: without what cannot be shown, and not too long."""
    text = "".join(c if c.isprintable() else "·" for c in name)
    return f"“{text[:80]}…”" if len(text) > 80 else f"“{text}”"


def _check_frame(file: BinaryIO) -> None:
    """It begins as a zip file, and its directory is no larger than a hundred thousand names need."""
    if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise TableError("This is not a zip file.", hint="Pack the files into a .zip.")
    size = file.seek(0, 2)
    file.seek(max(0, size - (64 << 10) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise TableError("The zip file is cut off: its directory is missing.", hint="Send it again.")
    directory = struct.unpack_from("<I", tail, at + 12)[0]
    if directory == 0xFFFFFFFF:
        far = tail.rfind(b"PK\x06\x06", 0, at)
        directory = struct.unpack_from("<Q", tail, far + 40)[0] if far >= 0 and len(tail) - far >= 48 else directory
    if directory > MAX_DIRECTORY_BYTES:
        raise TableError(f"The zip file lists more than {MAX_ENTRIES:,} files.", hint="Split it.")


def _check_entries(archive: zipfile.ZipFile, max_bytes: int, max_ratio: int) -> None:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise TableError(f"The zip file holds {len(infos):,} entries; at most {MAX_ENTRIES:,} are read.")
    seen: dict[str, str] = {}
    total = 0
    for info in infos:
        if why := _why_refused(info, max_ratio):
            raise TableError(f"The zip file holds {shown(info.orig_filename)}, which {why}.", hint=HINT)
        key = unicodedata.normalize("NFC", info.filename.rstrip("/")).casefold()
        if key in seen:
            text = f"The zip file holds {shown(info.filename)} and {shown(seen[key])}, whose names collide."
            raise TableError(text, hint="Give each file a name of its own, not only in upper and lower case.")
        seen[key] = info.filename
        total += info.file_size
        if total > max_bytes:
            raise TableError(f"Unpacked, the zip file has more than {max_bytes:,} bytes.", hint="Split it.")


def _why_refused(info: zipfile.ZipInfo, max_ratio: int) -> str:
    name, mode = info.orig_filename, info.external_attr >> 16
    parts = name.rstrip("/").split("/")
    if "\0" in name or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        return "has a name with control characters"
    if "\\" in name or name.startswith("/") or _DRIVE.match(name):
        return "is no path inside of the archive"
    if ".." in parts or not all(parts):
        return "leads out of the archive"
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        return f"has a name of more than {MAX_NAME_BYTES} bytes"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 0x2041:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that is not read; use deflate"
    if name.lower().endswith(INNER_ARCHIVES):
        return "is an archive inside of the archive"
    if info.file_size > SMALL_BYTES and info.file_size > max_ratio * info.compress_size:
        return f"would grow to {info.file_size:,} bytes from {info.compress_size:,}"
    return ""


def _check_places(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Each entry lies where the directory says, under the same name, and none shares its bytes with another."""
    end = 0
    for info in sorted(archive.infolist(), key=lambda i: i.header_offset):
        if info.header_offset < end:
            raise TableError(f"{shown(info.filename)} overlaps with another file of the archive.", hint=HINT)
        file.seek(info.header_offset)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            raise TableError(f"{shown(info.filename)} is not where the archive says.", hint="Make or send it again.")
        fields = _LOCAL.unpack(head)
        end = info.header_offset + _LOCAL.size + fields[9] + fields[10] + info.compress_size
