"""Stores of data that an administrator opens: object stores and other file systems that fsspec speaks to.

The file `STUDIO_DATA_STORES` (TOML) has a table for each. Credentials stay in it: no row and no page has more of a store
than its name and address.

    [lab]
    address = "s3://training/public/"   # what lies below may be registered as data
    options = { key = "…", secret = "…", client_kwargs = { endpoint_url = "https://minio.example" } }   # of its fsspec class
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

MOST_ADDRESS = 2000
CHUNK_BYTES = 4 << 20


class StoreError(Exception):
    """A store cannot be used, or does not have what was asked for; the words are for people."""


@dataclass(frozen=True, slots=True)
class Mark:
    """By what a change is noticed without reading the file; what the store does not tell is empty."""

    size_bytes: int
    etag: str = ""
    modified: str = ""

    def is_same(self, other: Mark) -> bool:
        """The size, and the ETag where both have one, else the time of the last change."""
        if self.size_bytes != other.size_bytes:
            return False
        if self.etag and other.etag:
            return self.etag == other.etag
        return self.modified == other.modified


@dataclass(frozen=True, slots=True)
class Store:
    name: str
    address: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def protocol(self) -> str:
        return self.address.partition("://")[0]

    def mark(self, url: str) -> Mark:
        """One request. StoreError when the file is not there, or the store does not answer."""
        try:
            found = self._files().info(self._path(url))
        except Exception as error:  # its libraries raise whatever they like
            raise StoreError(self._words(url, error)) from error
        if found.get("type") == "directory":
            raise StoreError(f"{url} is a folder. Name one file: a table, a text, a .zip of images, a .npz or .npy.")
        etag = str(found.get("ETag") or found.get("etag") or "").strip('"')
        modified = found.get("LastModified") or found.get("last_modified") or found.get("mtime") or found.get("created")
        return Mark(int(found.get("size") or 0), etag[:200], str(modified or "")[:100])

    def read(self, url: str) -> Iterator[bytes]:
        """The bytes of the file, in pieces."""
        try:
            with self._files().open(self._path(url), "rb", block_size=CHUNK_BYTES) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except GeneratorExit:
            raise
        except Exception as error:
            raise StoreError(self._words(url, error)) from error

    def _files(self) -> Any:
        import fsspec

        return fsspec.filesystem(self.protocol, skip_instance_cache=True, use_listings_cache=False, **self.options)

    def _path(self, url: str) -> str:
        import fsspec

        return str(fsspec.get_filesystem_class(self.protocol)._strip_protocol(url))

    def _words(self, url: str, error: Exception) -> str:
        if isinstance(error, FileNotFoundError):
            return f"{url} is not there."
        if isinstance(error, ImportError):
            return (
                f"Workers lack a package for {self.protocol}:// addresses: pip install -e '.[s3]', or its fsspec class."
            )
        text = f"{type(error).__name__}: {error}"[:300]
        for secret in _texts(self.options):
            text = text.replace(secret, "…")
        return f"{self._cannot(url)} {text}"

    def _cannot(self, url: str) -> str:
        return f"{url} cannot be read from the store {self.name}."


def stores() -> list[Store]:
    """Those that are open; StoreError when their file is not what it should be."""
    if not settings.DATA_STORES:
        return []
    path = Path(settings.DATA_STORES)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StoreError(f"The file of STUDIO_DATA_STORES cannot be read ({type(error).__name__}).") from error
    opened = []
    for name, given in found.items():
        address = given.get("address") if isinstance(given, dict) else None
        if not isinstance(address, str) or "://" not in address or not address.endswith("/"):
            raise StoreError(
                f"STUDIO_DATA_STORES: {name} needs an address that ends with a slash, such as s3://bucket/folder/."
            )
        options = given.get("options", {})
        opened.append(Store(name, address, options if isinstance(options, dict) else {}))
    return opened


def store_of(url: str) -> Store:
    """The store with the longest address that the file lies below; StoreError for what lies below none."""
    opened = stores()
    below = sorted((s for s in opened if url.startswith(s.address)), key=lambda s: len(s.address))
    parts = url.partition("://")[2].split("/")
    is_plain = len(url) <= MOST_ADDRESS and not any(ord(c) < 32 or c in "\\?#*[]" or ord(c) == 127 for c in url)
    if not below or not is_plain or not all(parts) or {".", ".."} & {*parts}:
        allowed = ", ".join(store.address for store in opened)
        raise StoreError(
            f"{url!r:.200} is no file below an address that is open for data. Open are {allowed or 'none'}."
        )
    return below[-1]


def _texts(options: Any) -> Iterator[str]:
    """Every text among nested options that may be a secret."""
    if isinstance(options, str):
        if len(options) > 3:
            yield options
    elif isinstance(options, Mapping):
        for value in options.values():
            yield from _texts(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from _texts(value)
