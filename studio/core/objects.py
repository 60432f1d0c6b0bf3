"""The object store that keeps the studio's own files when no folder is shared: objects by key, whole or not there.

The file `STUDIO_OBJECT_STORE` (TOML, private) says where; without it the data directory is all there is.

    address = "s3://training/studio/"   # everything below belongs to this one studio
    options = { key = "…", secret = "…", client_kwargs = { endpoint_url = "https://minio.example" } }   # of its fsspec class

Keys are the paths that the files have below the data directory. Nothing that was fetched is used before its sha256 is
known to be right: see `shared_blobs` and `runs.shared_checkpoints`.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from django.conf import settings

from studio.core.stores import Store, StoreError

# One that does not answer is given up soon: whoever waits for it has other things to do, and comes again.
S3_LIMITS = {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 0}, "max_pool_connections": 10}
TRIES = 3
RESTS_S = 5.0
PART_BYTES, MOST_PARTS, AT_ONCE = 16 << 20, 9000, 2  # so that an upload needs little memory


_fetching: WeakValueDictionary[str, Any] = WeakValueDictionary()
_fetching_guard = threading.Lock()
_away_at = -RESTS_S


class ObjectMissing(StoreError):
    """There is no object with this key."""


class ObjectDamaged(StoreError):
    """What the store has is not what was put there."""


@dataclass(frozen=True, slots=True)
class Found:
    """`modified`: seconds since 1970, 0 where the store does not tell."""

    key: str
    size_bytes: int
    modified: float


class ObjectStore(Store):
    """All calls raise StoreError when the store does not answer, in words without its credentials."""

    __slots__ = ()

    def put(self, key: str, path: Path) -> None:
        """The file as the object of that key; it is seen when all of it is there. FileNotFoundError without the file."""
        url = self.address + key
        size = path.stat().st_size
        more: dict[str, Any] = {}
        if self.protocol in ("s3", "s3a"):
            more = {"chunksize": max(PART_BYTES, size // MOST_PARTS + 1), "max_concurrency": AT_ONCE}
        try:
            self._files().put_file(str(path), self._path(url), **more)
        except Exception as error:  # its libraries raise whatever they like
            if not path.is_file():
                raise FileNotFoundError(path) from error
            raise self._failed(url, error) from error

    def size(self, key: str) -> int:
        """ObjectMissing when there is none."""
        url = self.address + key
        try:
            return int(self._files().info(self._path(url))["size"])
        except Exception as error:
            raise self._failed(url, error) from error

    def fetch(self, key: str) -> Iterator[bytes]:
        """The bytes in pieces; ObjectMissing when there is none. For RESTS_S after it was away nobody asks it again: a
        page with many files would else wait for each."""
        with self._asking(key):
            yield from self.read(self.address + key)

    def piece(self, key: str, start: int, end: int, *, is_first: bool) -> bytes:
        """The bytes from `start` to `end`, in one request. ObjectMissing when there is none, ObjectDamaged when it has
        fewer. The first of a file is not asked for when the store was just away, as in `fetch`."""
        if is_first:
            with self._asking(key):
                found = self._range(key, start, end)
        else:
            found = self._range(key, start, end)
        if len(found) != end - start:
            raise ObjectDamaged(f"The object store has other bytes of {key} than were committed.")
        return found

    def _range(self, key: str, start: int, end: int) -> bytes:
        url = self.address + key
        try:
            return bytes(self._files().cat_file(self._path(url), start=start, end=end))
        except Exception as error:
            raise self._failed(url, error) from error

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        global _away_at
        if time.monotonic() - _away_at < RESTS_S:
            raise StoreError(f"{self._cannot(self.address + key)} It did not answer a moment ago.")
        try:
            yield
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise ObjectMissing(str(error)) from error
            _away_at = time.monotonic()
            raise

    def listed(self, prefix: str) -> Iterator[Found]:
        """Every object whose key begins with the prefix, which ends with a slash."""
        url = self.address + prefix
        try:
            top = self._path(self.address).rstrip("/") + "/"
            found = self._files().find(self._path(url), detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(url, error) from error
        for path, about in found.items():
            yield Found(path.removeprefix(top), int(about.get("size") or 0), _seconds(about))

    def remove(self, keys: Iterable[str]) -> None:
        """Those that are there."""
        paths = [self._path(self.address + key) for key in keys]
        if not paths:
            return
        try:
            files = self._files()
            if self.protocol in ("s3", "s3a"):
                files.rm(paths)  # many in one request; it does not mind those that are gone
                return
            for path in paths:
                if files.exists(path):
                    files.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(self.address, error) from error

    def _failed(self, url: str, error: Exception) -> StoreError:
        kind = ObjectMissing if isinstance(error, FileNotFoundError) else StoreError
        return kind(self._words(url, error))

    def _cannot(self, url: str) -> str:
        return f"The object store does not take or give {url}."

    def _files(self) -> Any:
        return _file_system(os.getpid(), self.protocol, json.dumps(dict(self.options), sort_keys=True, default=str))


def is_open() -> bool:
    """Whether the studio keeps its files in an object store."""
    return bool(settings.OBJECT_STORE)


def store() -> ObjectStore:
    """The one of `STUDIO_OBJECT_STORE`; StoreError when its file is not what it should be."""
    path = Path(settings.OBJECT_STORE)
    try:
        return _opened(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise StoreError(f"The file of STUDIO_OBJECT_STORE cannot be read ({type(error).__name__}).") from error


@lru_cache(maxsize=4)
def _opened(path: Path, mtime_ns: int) -> ObjectStore:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StoreError(f"The file of STUDIO_OBJECT_STORE cannot be read ({type(error).__name__}).") from error
    address, options = found.get("address"), found.get("options", {})
    if not isinstance(address, str) or "://" not in address or not address.endswith("/"):
        raise StoreError(
            "STUDIO_OBJECT_STORE: it needs an address that ends with a slash, such as s3://bucket/studio/."
        )
    return ObjectStore("objects", address, options if isinstance(options, dict) else {})


@lru_cache(maxsize=4)
def _file_system(pid: int, protocol: str, options: str) -> Any:
    """One for each process: a connection costs more than most requests. It may not be taken over a fork."""
    import fsspec

    given: dict[str, Any] = json.loads(options)
    if protocol in ("s3", "s3a"):
        given["config_kwargs"] = {**S3_LIMITS, **given.get("config_kwargs", {})}
    files = fsspec.filesystem(protocol, skip_instance_cache=True, use_listings_cache=False, **given)
    if protocol in ("s3", "s3a"):
        files.retries = TRIES
    return files


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Of this process one thread; the others find what it fetched."""
    with _fetching_guard:
        lock = _fetching.setdefault(name, threading.Lock())
    with lock:
        yield


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process of this machine works on the folder; it stays so. FileNotFoundError when it is gone."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


def _seconds(about: dict[str, Any]) -> float:
    told = about.get("LastModified") or about.get("last_modified") or about.get("mtime") or about.get("created")
    if isinstance(told, datetime):
        return told.timestamp()
    return float(told) if isinstance(told, int | float) else 0.0
