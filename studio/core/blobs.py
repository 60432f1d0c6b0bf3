"""The store of files by content: BLOBS_DIR/ab/<sha256>, written once, complete or not there at all.

A blob reaches its name by temp file → fsync → rename → fsync of the folder, so that a crash leaves a stray temp file
and never half a blob. The rows that name a blob are the truth of who needs it.

Whoever puts bytes that are there already makes the blob young again; `remove` takes only blobs that nobody put for
IDLE_S and that no row names when it looks again. Both hold the store's gate meanwhile, so that a blob which is being put
into use is never removed: its row has to follow within IDLE_S, or else its bytes are put again.

With an object store (`core.objects`) the bytes lie there, and what is here is a copy: `bring` fetches one, see
`shared_blobs`; a download does not wait for it, see `source`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from studio.core import objects, shared_blobs
from studio.core.stored_files import SMALL_BYTES, Copy, StoredFile
from studio.core.stores import StoreError

log = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 20
IDLE_S = 900.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


class BlobTooLarge(Exception):
    """The stream brought more bytes than were allowed; nothing of it is kept."""


def path_of(sha256: str) -> Path:
    """Where the blob lies or would lie; ValueError for what is not 64 hex digits."""
    if not _DIGEST.fullmatch(sha256):
        raise ValueError(f"not a sha256: {sha256[:80]!r}")
    return Path(settings.BLOBS_DIR) / sha256[:2] / sha256


def size_of(sha256: str) -> int | None:
    """Bytes of the blob; None when there is none. One query with an object store."""
    if objects.is_open():
        return shared_blobs.size_of(sha256)
    try:
        return path_of(sha256).stat().st_size
    except FileNotFoundError:
        return None


def exists(sha256: str) -> bool:
    return size_of(sha256) is not None


def bring(sha256: str, tell: shared_blobs.Tell = lambda size: None) -> Path:
    """Where the blob lies on this machine, fetched if the object store alone has it; else where it lies or would lie.

    StoreError when the store is away, or gives other bytes. `tell` hears how many bytes have come, and may raise.
    """
    path = path_of(sha256)
    if not objects.is_open():
        return path
    with objects.one_at_a_time(sha256):
        if path.is_file():
            with suppress(FileNotFoundError, PermissionError):
                os.utime(path)  # what was used lately stays
            return path
        temporary = _temporary_path()
        shared_blobs.fetch(sha256, temporary, tell)
        try:
            with _gate(fcntl.LOCK_SH):
                _move_into_place(temporary, sha256)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def source(sha256: str) -> Path | StoredFile:
    """What a download of the blob reads: the file on this machine, or the store's object, a copy of which is made beside.

    A small one is fetched. StoreError when that cannot be had.
    """
    path = path_of(sha256)
    size = None if not objects.is_open() or path.is_file() else shared_blobs.size_of(sha256)
    if size is None or size <= SMALL_BYTES:
        return bring(sha256)
    return StoredFile(shared_blobs.key_of(sha256), size, sha256, lambda: _copy_of(sha256))


def _copy_of(sha256: str) -> Copy:
    temporary = _temporary_path()

    def settle() -> None:
        with _gate(fcntl.LOCK_SH):
            _move_into_place(temporary, sha256)

    return Copy(temporary, settle, lambda: temporary.unlink(missing_ok=True))


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
    if refresh(sha256, size):
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
        _settle(temporary, sha256, size)
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
        _settle(temporary, sha256, size)
    return sha256, size


def refresh(sha256: str, size: int | None = None) -> bool:
    """Make a blob (of that size) young again, so that a row may name it; False when it is not there."""
    if objects.is_open():
        return shared_blobs.renew(sha256, size, is_here=path_of(sha256).is_file())
    try:
        with _gate(fcntl.LOCK_SH):
            return _refreshed(sha256, size)
    except FileNotFoundError:  # no store yet
        return False


def remove(
    digests: Sequence[str], *, wanted: Callable[[Sequence[str]], set[str]], idle_s: float = IDLE_S
) -> dict[str, int]:
    """Remove those that nobody put for `idle_s` and that are not `wanted`: what each one's end freed, in bytes.

    `wanted` is asked with the store's gate shut, so that it sees every row that could name one; keep the list short.
    """
    if objects.is_open():
        return _remove_shared(digests, wanted, idle_s)
    before, freed = time.time() - idle_s, dict[str, int]()
    if not digests or not Path(settings.BLOBS_DIR).is_dir():
        return freed
    with _gate(fcntl.LOCK_EX):
        old = {sha256: size for sha256 in digests if (size := _size_if_idle(path_of(sha256), before)) is not None}
        kept = wanted(list(old)) if old else set()
        for sha256, size in old.items():
            if sha256 not in kept:
                path_of(sha256).unlink(missing_ok=True)
                freed[sha256] = size
    return freed


def _remove_shared(
    digests: Sequence[str], wanted: Callable[[Sequence[str]], set[str]], idle_s: float
) -> dict[str, int]:
    try:
        freed = shared_blobs.remove(digests, wanted=wanted, idle_s=idle_s)
    except StoreError as error:
        log.warning("blobs stay for the next sweep: %s", error)
        return {}
    for sha256 in freed:
        path_of(sha256).unlink(missing_ok=True)
    return freed


def announce(sha256: str, size: int) -> None:
    """A blob that was here before the object store will be sent there."""
    shared_blobs.announce(sha256, size)


def send_waiting() -> int:
    """Send what this machine has and the object store has not; how many. StoreError when it is away."""
    return shared_blobs.send_waiting(path_of)


def count_waiting() -> int:
    """How many blobs this machine has and the object store has not."""
    return sum(1 for _ in shared_blobs.waiting(path_of))


def stored() -> Iterator[tuple[str, int]]:
    """(sha256, size in bytes) of every blob there is."""
    if objects.is_open():
        yield from shared_blobs.stored()
        return
    yield from here()


def here() -> Iterator[tuple[str, int]]:
    """(sha256, size in bytes) of every blob on this machine."""
    for folder in sorted(Path(settings.BLOBS_DIR).glob("[0-9a-f][0-9a-f]")):
        for path in folder.iterdir():
            if _DIGEST.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    yield path.name, path.stat().st_size


def clear_temporary(idle_s: float) -> int:
    """Remove what crashes left half written; returns the bytes that this freed."""
    before, freed = time.time() - idle_s, 0
    for path in Path(settings.BLOBS_DIR).glob(".tmp/*"):
        if (size := _size_if_idle(path, before)) is not None:
            path.unlink(missing_ok=True)
            freed += size
    return freed


def _size_if_idle(path: Path, before: float) -> int | None:
    """What its removal frees (nothing while another name shares the bytes); None when it is young or not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if found.st_mtime > before:
        return None
    return found.st_size if found.st_nlink == 1 else 0


def _settle(temporary: Path, sha256: str, size: int) -> None:
    if objects.is_open():
        shared_blobs.announce(sha256, size)
    with _gate(fcntl.LOCK_SH):
        if not _refreshed(sha256, size):
            _move_into_place(temporary, sha256)
    if objects.is_open():
        shared_blobs.send_soon(sha256, path_of(sha256))


def _refreshed(sha256: str, size: int | None) -> bool:
    path = path_of(sha256)
    try:
        if size is not None and path.stat().st_size != size:
            return False
        os.utime(path)
    except (FileNotFoundError, PermissionError):  # one that somebody else owns is put anew
        return False
    return True


@contextmanager
def _gate(kind: int) -> Iterator[None]:
    """Many may put at once, while nobody removes; one removes, while nobody puts. Held for moments."""
    fd = os.open(settings.BLOBS_DIR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)


def _copy(path: Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        return put_stream(iter(lambda: file.read(CHUNK_BYTES), b""))


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
        os.utime(temporary)  # a linked file may be older than its use as a blob
    os.replace(temporary, target)
    _sync_folder(target.parent)
    _sync_folder(target.parent.parent)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
