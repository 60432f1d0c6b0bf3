"""Data that lies elsewhere: a file of the server below an allowed folder, or in a store, which stay there, or at https.

A version's `info["server_file"]` is `{"path", "size_bytes", "mtime_ns"}`; `info["fetched"]` is `{"url", "etag"}`;
for `info["stored"]` see `stored`.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from django.conf import settings

from studio.core.download import safe_name
from studio.core.outbound import OutboundError, answer_of, checked_url, chunks_of, public_addresses
from studio.core.stores import StoreError
from studio.registry.errors import RegistryError
from studio.registry.stored import reference_of
from studio.registry.uploads import FREE_MARGIN_BYTES, UploadError

MAX_REDIRECTS = 5
SILENT_S, FETCH_LIMIT_S, PROGRESS_EVERY_S = 30.0, 3600.0, 1.0


def checked_address(text: str) -> dict[str, Any]:
    """What a version's info says of an address that somebody typed; RegistryError for one that may not be read.

    Looks the host up, or the path; reads nothing.
    """
    text = text.strip()
    if "://" not in text:
        path = checked_path(text)
        return {"server_file": {"path": str(path), **mark_of(path)}, "filename": safe_name(path.name)}
    if not text.startswith("https://") and settings.DATA_STORES:
        try:
            return reference_of(text)
        except StoreError as error:
            raise RegistryError(str(error), field="address") from error
    try:
        _, host, port, path_of_url = checked_url(text, ("https",))
        public_addresses(host, port)
    except OutboundError as error:
        raise RegistryError(str(error), field="address") from error
    name = unquote(path_of_url.partition("?")[0].rsplit("/", 1)[-1])
    return {"fetched": {"url": text}, "filename": safe_name(name or host)}


def checked_path(text: str) -> Path:
    """The file itself, below one of the allowed folders also once its links are followed; else RegistryError."""
    roots = [root.resolve() for root in settings.DATA_ROOTS]
    if not roots:
        raise _refused("No folder of the server is open for data. An administrator can name some in STUDIO_DATA_ROOTS.")
    allowed = ", ".join(map(str, settings.DATA_ROOTS))
    plain = Path(os.path.normpath(text)) if "\0" not in text else Path()
    if not plain.is_absolute() or not any(plain.is_relative_to(r) for r in [*settings.DATA_ROOTS, *roots]):
        raise _refused(f"{text!r:.200} is not below an allowed folder. Allowed are {allowed}.")
    try:
        path = plain.resolve(strict=True)
        mode = path.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise _refused(f"{text!r:.200} is not there, or cannot be read by the studio.") from error
    own = Path(settings.DATA_DIR).resolve()
    if not any(path.is_relative_to(root) for root in roots) or path.is_relative_to(own):
        raise _refused(f"{text!r:.200} leads out of the allowed folders. Allowed are {allowed}.")
    if not stat.S_ISREG(mode):
        raise _refused(f"{text!r:.200} is no file. Name one file: a table, a text, a .zip of images, a .npz or .npy.")
    if not os.access(path, os.R_OK):
        raise _refused(f"{text!r:.200} is not there, or cannot be read by the studio.")
    return path


def mark_of(path: Path) -> dict[str, int]:
    """By what a change is noticed without reading the file."""
    found = path.stat()
    return {"size_bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


def fetch(url: str, tell: Callable[[float], None]) -> tuple[Path, str]:
    """(a new file with what lies at the address, its ETag or ""); UploadError for what is too large or breaks off.

    `tell` hears about once a second which share has arrived, 0 if the server does not say. Redirects are followed, each
    like an address that was typed. The file is the caller's to remove; a forgotten one goes with stale uploads.
    """
    folder = Path(settings.UPLOADS_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / uuid.uuid4().hex
    try:
        return path, _fetch(url, path, tell)
    except OutboundError as error:
        path.unlink(missing_ok=True)
        raise UploadError(str(error)) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _fetch(url: str, path: Path, tell: Callable[[float], None]) -> str:
    headers = {"Accept-Encoding": "identity", "User-Agent": "training-studio"}
    for _ in range(MAX_REDIRECTS + 1):
        with answer_of("GET", url, headers=headers, timeout_s=SILENT_S, schemes=("https",)) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                url = urljoin(url, answer.headers.get("Location", ""))
                continue
            if answer.status != 200:
                raise OutboundError(f"{urlsplit(url).hostname} answered {answer.status} {answer.reason[:100]}.")
            _check_size(answer.length or 0)
            _write(answer, url, path, tell)
            return str(answer.headers.get("ETag") or "")[:200]
    raise OutboundError(f"The address is redirected more than {MAX_REDIRECTS} times.")


def _write(answer: Any, url: str, path: Path, tell: Callable[[float], None]) -> None:
    size, whole, told = 0, answer.length, time.monotonic()
    until = told + FETCH_LIMIT_S
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        for chunk in chunks_of(answer, url):
            size += len(chunk)
            _check_size(size, len(chunk))
            file.write(chunk)
            now = time.monotonic()
            if now > until:
                raise OutboundError(f"The file did not arrive within {FETCH_LIMIT_S / 60:.0f} minutes.")
            if now - told >= PROGRESS_EVERY_S:
                told = now
                tell(size / whole if whole else 0.0)
        file.flush()
        os.fsync(file.fileno())


def _check_size(size_bytes: int, more_bytes: int | None = None) -> None:
    if size_bytes > settings.MAX_UPLOAD_BYTES:
        raise UploadError(f"The file has more than the {settings.MAX_UPLOAD_BYTES:,} bytes that are allowed.")
    needed = size_bytes if more_bytes is None else more_bytes
    if shutil.disk_usage(settings.UPLOADS_DIR).free < needed + FREE_MARGIN_BYTES:
        raise UploadError("The studio's disk has no room for the file. Ask an administrator to free some.")


def _refused(text: str) -> RegistryError:
    return RegistryError(text, field="address")
