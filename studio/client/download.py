"""Files: fetched in pieces, continued where they stopped, and kept only when their sha256 is right."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from studio.client.connection import Connection
from studio.client.errors import Damaged, NotReached, StudioError

CHUNK_BYTES = 1 << 20
TRIES, PAUSE_S = 5, 0.5


def download(connection: Connection, address: str, path: Path) -> Path:
    """The file at `path` (or in that folder, under the server's name), complete and verified, or an error.

    What has arrived lies beside it as `<name>.<digest>.part` until then; a later call goes on from there, and one that finds
    the very file there fetches nothing.
    """
    for failed in range(1, TRIES + 1):
        try:
            return _fetch(connection, address, path)
        except (NotReached, OSError, HTTPException) as error:
            if failed == TRIES or (
                isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
            ):
                raise
            time.sleep(PAUSE_S * failed)
    raise AssertionError("not reached")


def _fetch(connection: Connection, address: str, path: Path) -> Path:
    # Not HEAD: a refusal of that comes without words.
    with connection.open("GET", address, headers={"Range": "bytes=0-0"}) as response:
        size = int(response.headers["Content-Range"].rpartition("/")[2])
        etag, sha256 = response.headers["ETag"], _digest(response.headers)
        target = path / (response.headers.get_filename() or "checkpoint.ckpt") if path.is_dir() else path
    if sha256 and target.is_file() and target.stat().st_size == size and _sha256(target) == sha256:
        return target
    mark = etag.strip('"')[:12]
    part = target.with_name(f"{target.name}.{mark}.part")
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have < size:
        headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
        with connection.open("GET", address, headers=headers) as response:
            _append(response, part, fresh=response.status == 200)
    got = _sha256(part)
    if part.stat().st_size < size:
        raise NotReached("The download broke off.")
    if sha256 and got != sha256:
        part.unlink()
        raise Damaged(f"The file arrived damaged: its sha256 is {got}, not {sha256}. Fetch it again.", code="damaged")
    os.replace(part, target)
    return target


def _append(response: HTTPResponse, part: Path, *, fresh: bool) -> None:
    with open(part, "wb" if fresh else "ab") as file:
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(headers: Message) -> str:
    """The sha256 of the whole file in hexadecimal, from Repr-Digest; empty when the server does not say."""
    for part in headers.get("Repr-Digest", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "sha-256":
            try:
                return base64.b64decode(value.strip(":"), validate=True).hex()
            except ValueError as error:
                raise StudioError("The studio sent a checksum that cannot be read.") from error
    return ""
