"""Data by reference in a store: its bytes stay there; a worker keeps a copy of what it uses in its cache.

A version's `info["stored"]` is `{"url", "store", "size_bytes", "etag", "modified"}`, its blob's sha256 the content: what a
run gets is what was registered, or nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from django.conf import settings

from studio.core.download import safe_name
from studio.core.stores import Mark, Store, StoreError, store_of
from studio.registry.models import DatasetVersion
from studio.registry.uploads import FREE_MARGIN_BYTES

STALE_S = 86_400.0
Tell = Callable[[float], None]


class StoredChanged(Exception):
    """What lies in the store is not what was registered, and this machine has no copy of that; the words are for people."""


@dataclass(frozen=True, slots=True)
class Brought:
    """Where the file is on this machine; `notice` says what people should know of it, or nothing."""

    path: Path
    notice: str = ""


def reference_of(url: str) -> dict[str, Any]:
    """What a new version's info says of an address; StoreError for one that is not open. Reads nothing."""
    store = store_of(url)
    return {"stored": {"url": url, "store": store.name}, "filename": safe_name(unquote(url.rsplit("/", 1)[-1]))}


def cache_path(sha256: str) -> Path:
    """Where the copy lies on a machine that has one."""
    return Path(settings.CACHE_DIR) / sha256


def first_look(version: DatasetVersion, tell: Tell) -> Path:
    """Bring the file of a version that is inspected, and note its mark. StoreError when it cannot be had."""
    if known := version.blobs.get("path"):
        try:
            return bring(version, tell).path
        except StoredChanged:
            if cache_path(known).is_file():
                raise
    url = version.info["stored"]["url"]
    store = store_of(url)
    mark = store.mark(url)
    path = _fetch(store, url, mark, tell)
    if not store.mark(url).is_same(mark):
        raise StoreError(f"{url} was changed while it was read. Register it again once it stays as it is.")
    version.info["stored"] = {"url": url, "store": store.name, **asdict(mark)}
    version.size_bytes = mark.size_bytes
    return path


def bring(version: DatasetVersion, tell: Tell = lambda share: None) -> Brought:
    """The file as it was registered. StoredChanged, or StoreError when the store does not answer and there is no copy.

    Asks the store once whether it has changed; a copy that this machine has is used all the same, with a notice.
    """
    about, digest = version.info["stored"], version.blobs["path"]
    path, url = cache_path(digest), about["url"]
    pinned = Mark(about["size_bytes"], about.get("etag", ""), about.get("modified", ""))
    is_here = path.is_file() and path.stat().st_size == pinned.size_bytes
    if is_here:
        os.utime(path)
    try:
        store = store_of(url)
        has_changed = not store.mark(url).is_same(pinned)
    except StoreError as error:
        if is_here:
            return Brought(path, f"{error} This machine's copy of what was registered is used.")
        raise
    if is_here:
        words = f"{url} has changed since it was registered; this machine's copy of what was registered is used."
        return Brought(path, words if has_changed else "")
    if has_changed:
        raise StoredChanged(f"{url} has changed since it was registered. Make a new version of the dataset.")
    found = _fetch(store, url, pinned, tell)
    if found != path:
        found.unlink(missing_ok=True)
        raise StoredChanged(f"{url} has other bytes than were registered. Make a new version of the dataset.")
    return Brought(path)


def evict(keep: Collection[str]) -> int:
    """Remove the copies that were used longest ago until the cache has CACHE_BYTES at most; those in `keep` stay."""
    folder = Path(settings.CACHE_DIR)
    if not folder.is_dir():
        return 0
    for part in folder.glob(".*"):  # what a worker that was killed had begun to fetch
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < time.time() - STALE_S:
                part.unlink()
    found = sorted((p.stat().st_mtime, p.stat().st_size, p) for p in folder.iterdir() if len(p.name) == 64)
    total, gone = sum(size for _, size, _ in found), 0
    for _, size, path in found:
        if total <= settings.CACHE_BYTES:
            break
        if path.name not in keep:
            path.unlink(missing_ok=True)
            total, gone = total - size, gone + 1
    return gone


def _fetch(store: Store, url: str, mark: Mark, tell: Tell) -> Path:
    """Its bytes into the cache, named by their sha256. `tell` hears which share has arrived, and may raise."""
    if mark.size_bytes > settings.MAX_UPLOAD_BYTES:
        raise StoreError(f"{url} has more than the {settings.MAX_UPLOAD_BYTES:,} bytes that are allowed.")
    folder = Path(settings.CACHE_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < mark.size_bytes + FREE_MARGIN_BYTES:
        raise StoreError(
            f"This machine's disk has no room for {mark.size_bytes:,} bytes. Ask an administrator to free some."
        )
    digest, size = hashlib.sha256(), 0
    part = folder / f".{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for chunk in store.read(url):
                size += len(chunk)
                if size > mark.size_bytes:
                    raise StoreError(f"{url} has more bytes than its store says.")
                digest.update(chunk)
                file.write(chunk)
                tell(size / mark.size_bytes)
            file.flush()
            os.fsync(file.fileno())
        if size != mark.size_bytes:
            raise StoreError(f"{url} broke off after {size:,} of {mark.size_bytes:,} bytes.")
        path = cache_path(digest.hexdigest())
        part.replace(path)
        return path
    finally:
        part.unlink(missing_ok=True)
