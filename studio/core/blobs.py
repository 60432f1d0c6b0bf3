"""The store of files by content: BLOBS_DIR/ab/<sha256>, written once, complete or not there at all.

A blob reaches its name by temp file → fsync → rename → fsync of the folder, so that a crash leaves a stray temp file
and never half a blob. The rows that name a blob are the truth of who needs it; nothing here deletes one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


class BlobTooLarge(Exception):
    """The stream brought more bytes than were allowed; nothing of it is kept."""


def path_of(sha256: str) -> Path:
    """Where the blob lies or would lie; ValueError for what is not 64 hex digits."""
    if not _DIGEST.fullmatch(sha256):
        raise ValueError(f"not a sha256: {sha256[:80]!r}")
    return Path(settings.BLOBS_DIR) / sha256[:2] / sha256


def exists(sha256: str) -> bool:
    return path_of(sha256).is_file()


def verify(sha256: str) -> bool:
    """Whether the blob is there and holds the bytes of its name; reads all of it."""
    try:
        return digest_of(path_of(sha256))[0] == sha256
    except FileNotFoundError:
        return False


def digest_of(path: str | Path) -> tuple[str, int]:
    """(sha256, size in bytes) of a file; reads all of it."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def put_bytes(data: bytes) -> tuple[str, int]:
    """(sha256, size in bytes)."""
    return put_stream((data,))


def put_file(path: str | Path, *, link: bool = True) -> tuple[str, int]:
    """(sha256, size in bytes). `link` shares the file's bytes where the disk can: nobody may write to it afterwards.

    The file becomes read-only then. Without `link`, or across file systems, its bytes are copied.
    """
    path = Path(path)
    if not link:
        return _copy(path)
    sha256, size = digest_of(path)
    if _is_whole(sha256, size):
        return sha256, size
    temporary = _temporary_path()
    try:
        os.link(path, temporary, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return _copy(path)
    try:
        fd = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        _move_into_place(temporary, sha256)
    finally:
        temporary.unlink(missing_ok=True)
    return sha256, size


def put_stream(chunks: Iterable[bytes], *, limit_bytes: int | None = None) -> tuple[str, int]:
    """(sha256, size in bytes). BlobTooLarge beyond the limit, counted while the bytes arrive."""
    digest, size = hashlib.sha256(), 0
    with _temporary_file() as (file, temporary):
        for chunk in chunks:
            size += len(chunk)
            if limit_bytes is not None and size > limit_bytes:
                raise BlobTooLarge(f"more than {limit_bytes} bytes")
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        sha256 = digest.hexdigest()
        if not _is_whole(sha256, size):
            _move_into_place(temporary, sha256)
    return sha256, size


def _copy(path: Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        return put_stream(iter(lambda: file.read(CHUNK_BYTES), b""))


def _is_whole(sha256: str, size: int) -> bool:
    try:
        return path_of(sha256).stat().st_size == size
    except FileNotFoundError:
        return False


def _temporary_path() -> Path:
    folder = Path(settings.BLOBS_DIR) / ".tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / secrets.token_hex(16)


@contextmanager
def _temporary_file() -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that is gone afterwards unless it was moved."""
    path = _temporary_path()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def _move_into_place(temporary: Path, sha256: str) -> None:
    target = path_of(sha256)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):  # a linked file may belong to somebody else
        os.chmod(temporary, 0o400)
    os.replace(temporary, target)
    _sync_folder(target.parent)
    _sync_folder(target.parent.parent)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
