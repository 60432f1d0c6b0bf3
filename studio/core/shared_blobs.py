"""Blobs in an object store, for machines that share no folder: BLOBS_DIR is then a cache of what the store has.

Who puts a blob first says so in its row (`put_at`), then keeps the file here, then sends it: a store that is away costs
nothing, `send_waiting` sends it later. Whoever removes one holds its row locked meanwhile (on SQLite the database). So
either the remover sees that somebody put it just now and lets it be, or who puts it waits, finds no row, and sends the
bytes anew. Before the first deletion the row says that the store may not have it any more: a remover that dies in the
middle leaves nothing that is trusted wrongly.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from studio.core.models import SharedBlob
from studio.core.objects import ObjectDamaged, ObjectMissing, store
from studio.core.stores import StoreError

log = logging.getLogger(__name__)
PATIENCE_S = 2.0  # so long whoever puts a blob waits until the store has it
RESTS_S = 30.0  # after the store was away nobody waits for it for so long
AT_ONCE = 4
FOLDER = "blobs/"
_sending = threading.BoundedSemaphore(AT_ONCE)
_away_since = -RESTS_S
Tell = Callable[[int], None]


def key_of(sha256: str) -> str:
    return f"{FOLDER}{sha256[:2]}/{sha256}"


def announce(sha256: str, size: int) -> None:
    """Somebody puts this blob now; waits for whoever removes it at the moment."""
    row = SharedBlob(sha256=sha256, size_bytes=size, put_at=Now())
    SharedBlob.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["sha256"], update_fields=["put_at", "size_bytes"]
    )


def renew(sha256: str, size: int | None, *, is_here: bool) -> bool:
    """Make a blob (of that size) young again; False when neither the store nor this machine has it."""
    rows = SharedBlob.objects.filter(sha256=sha256)
    rows = rows if size is None else rows.filter(size_bytes=size)
    rows = rows if is_here else rows.filter(stored_at__isnull=False)
    return bool(rows.update(put_at=Now()))


def size_of(sha256: str) -> int | None:
    """Bytes of a blob that the store has, or will have; None for one that nobody put."""
    return SharedBlob.objects.filter(sha256=sha256).values_list("size_bytes", flat=True).first()


def send_soon(sha256: str, path: Path) -> None:
    """Send a blob that was just put, and wait a moment for it. When the store is slow or away it is sent later."""
    if time.monotonic() - _away_since < RESTS_S or SharedBlob.objects.filter(sha256=sha256, stored_at__isnull=False):
        return
    if not _sending.acquire(blocking=False):
        return
    thread = threading.Thread(target=_send_apart, args=(sha256, path), name="blob", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)


def _send_apart(sha256: str, path: Path) -> None:
    global _away_since
    try:
        _send(sha256, path)
    except (StoreError, OSError) as error:
        _away_since = time.monotonic()
        log.warning("a blob is sent later: %s", error)
    finally:
        _sending.release()
        connections.close_all()


def _send(sha256: str, path: Path) -> None:
    """Nothing without a row, as of a transaction that is not over. One that was put again meanwhile is left to whoever
    did: between the two, the object may have been removed."""
    put_at = SharedBlob.objects.filter(sha256=sha256).values_list("put_at", flat=True).first()
    if put_at is not None:
        store().put(key_of(sha256), path)
        SharedBlob.objects.filter(sha256=sha256, put_at__lte=put_at).update(stored_at=Now())


def waiting(path_of: Callable[[str], Path]) -> Iterator[tuple[SharedBlob, Path]]:
    """Blobs that the store has not got and that this machine has, those that were put first before the others."""
    for row in SharedBlob.objects.filter(stored_at=None).order_by("put_at").iterator(chunk_size=500):
        path = path_of(row.sha256)
        if path.is_file():
            yield row, path


def send_waiting(path_of: Callable[[str], Path]) -> int:
    """Send what waits on this machine; how many. StoreError when the store is away."""
    count = 0
    for row, path in waiting(path_of):
        with suppress(FileNotFoundError):  # removed meanwhile
            _send(row.sha256, path)
            count += 1
    return count


def fetch(sha256: str, into: Path, tell: Tell = lambda size: None) -> None:
    """The blob as a new file, complete and verified. StoreError when it cannot be had; then there is no file."""
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            for chunk in store().fetch(key_of(sha256)):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
                tell(size)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != sha256:
            raise ObjectDamaged(f"The object store gave other bytes ({size:,}) than the blob {sha256[:12]}… has.")
    except BaseException as error:
        into.unlink(missing_ok=True)
        if isinstance(error, ObjectMissing) and SharedBlob.objects.filter(sha256=sha256, stored_at=None).exists():
            raise StoreError(f"The file {sha256[:12]}… is still on its way into the object store.") from error
        if isinstance(error, OSError):
            raise StoreError(f"This machine's disk takes no files: {error.strerror or error}.") from error
        raise


def stored() -> Iterator[tuple[str, int]]:
    """(sha256, size in bytes) of every blob that was put, whether it has been sent or not."""
    yield from SharedBlob.objects.order_by("sha256").values_list("sha256", "size_bytes").iterator()


def remove(digests: Sequence[str], *, wanted: Callable[[Sequence[str]], set[str]], idle_s: float) -> dict[str, int]:
    """As `blobs.remove`, of the store and on every machine. StoreError when the store is away: then they stay."""
    old = SharedBlob.objects.filter(sha256__in=list(digests), put_at__lt=Now() - timedelta(seconds=idle_s))
    if not (going := _unwanted(old, wanted)):
        return {}
    old.filter(sha256__in=going).update(stored_at=None)
    with transaction.atomic():
        rows = old.filter(sha256__in=going).select_for_update()
        sizes = dict(rows.values_list("sha256", "size_bytes"))
        freed = {sha256: sizes[sha256] for sha256 in _unwanted(rows, wanted)}
        store().remove(key_of(sha256) for sha256 in freed)  # the only wait for a network inside of a transaction
        SharedBlob.objects.filter(sha256__in=list(freed)).delete()
    return freed


def _unwanted(rows: QuerySet[SharedBlob], wanted: Callable[[Sequence[str]], set[str]]) -> set[str]:
    found = list(rows.values_list("sha256", flat=True))
    return set(found) - wanted(found) if found else set()
