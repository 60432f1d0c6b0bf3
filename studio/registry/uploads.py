"""Files that arrive in chunks: begun with a name and size, resumed at the byte where they stopped, adopted as blobs.

The bytes lie at UPLOADS_DIR/<id> under a generated name. `received_bytes` of the row is the truth of what has arrived;
bytes beyond it, of a chunk that was cut off, are written again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from studio.accounts.models import Project, User
from studio.core import blobs
from studio.core.download import safe_name
from studio.registry.models import Upload

FREE_MARGIN_BYTES = 512 << 20
STALE_AFTER = timedelta(days=2)
MAX_OPEN = 20


class UploadError(Exception):
    """Why a chunk or file is refused; `received` is where to go on, `status` what HTTP calls it."""

    def __init__(self, text: str, *, status: int = 400, received: int | None = None) -> None:
        self.text, self.status, self.received = text, status, received
        super().__init__(text)


def begin_upload(*, project: Project, user: User, filename: str, size_bytes: int, sha256: str = "") -> Upload:
    """A row and an empty file; UploadError for a size that is not allowed or does not fit the disk."""
    if size_bytes < 1:
        raise UploadError("The file is empty: it has 0 bytes. Check that it was saved before it was uploaded.")
    if size_bytes > settings.MAX_UPLOAD_BYTES:
        limit = settings.MAX_UPLOAD_BYTES
        raise UploadError(f"The file has {size_bytes:,} bytes; at most {limit:,} are allowed.", status=413)
    if sha256 and not _is_digest(sha256):
        raise UploadError("sha256 has to be 64 hexadecimal digits, or left out.")
    if Upload.objects.filter(user=user, finished_at__isnull=True).count() >= MAX_OPEN:
        raise UploadError(f"You have {MAX_OPEN} unfinished uploads. Finish or cancel one of them first.", status=409)
    folder = Path(settings.UPLOADS_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < size_bytes + FREE_MARGIN_BYTES:
        text = f"The studio's disk has no room for {size_bytes:,} bytes. Ask an administrator to free some."
        raise UploadError(text, status=507)
    upload = Upload(project=project, user=user, filename=safe_name(filename), size_bytes=size_bytes, sha256=sha256)
    os.close(os.open(path_of(upload), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    upload.save(force_insert=True)
    return upload


def keep_bytes(*, project: Project, user: User, filename: str, chunks: Iterable[bytes], size_bytes: int) -> Upload:
    """A finished upload of bytes that are here already; UploadError as for `begin_upload`."""
    upload = begin_upload(project=project, user=user, filename=filename, size_bytes=size_bytes)
    try:
        offset = 0
        for chunk in chunks:
            offset = receive_chunk(upload, offset=offset, data=chunk)
    except BaseException:
        drop_upload(upload)
        raise
    return upload


def receive_chunk(upload: Upload, *, offset: int, data: bytes, digest: str = "") -> int:
    """Write a chunk at `offset`; returns how many bytes have arrived. UploadError tells where to go on.

    `digest` is the sha256 of the chunk in hexadecimal, if the sender knows it. A chunk that was received already
    (its answer got lost) is accepted again without being written.
    """
    if digest and hashlib.sha256(data).hexdigest() != digest.lower():
        raise UploadError(
            "The chunk was damaged on its way. Send it again.", status=422, received=upload.received_bytes
        )
    with _locked(upload) as fd:
        upload.refresh_from_db(fields=["received_bytes", "finished_at"])
        received = upload.received_bytes
        if offset + len(data) > upload.size_bytes:
            text = f"The file was announced with {upload.size_bytes:,} bytes; this chunk goes beyond it."
            raise UploadError(text, status=413, received=received)
        if not data or offset > received or offset < received < offset + len(data):
            text = f"The next byte to send is {received:,}, not {offset:,}."
            raise UploadError(text, status=409, received=received)
        if offset == received:
            os.pwrite(fd, data, offset)
            received += len(data)
            finished = timezone.now() if received == upload.size_bytes else None
            if finished:
                os.fsync(fd)
            Upload.objects.filter(pk=upload.pk).update(received_bytes=received, finished_at=finished)
            upload.received_bytes, upload.finished_at = received, finished
    return received


def adopt_upload(upload: Upload) -> tuple[str, int]:
    """Keep a finished upload as a blob: (sha256, size in bytes). Whoever has noted the blob drops the upload.

    UploadError if it is not whole, or not what its sender said (it is dropped then). Reads the file once or twice.
    """
    path = path_of(upload)
    if upload.received_bytes != upload.size_bytes:
        raise UploadError(f"{upload.received_bytes:,} of {upload.size_bytes:,} bytes have arrived.", status=409)
    try:
        digest, size = blobs.put_file(path)
    except FileNotFoundError as error:
        raise UploadError("The uploaded file is gone. Upload it again.", status=410) from error
    if size != upload.size_bytes or (upload.sha256 and digest != upload.sha256.lower()):
        drop_upload(upload)
        text = f"What arrived is not the file that was announced: its sha256 is {digest}. Upload it again."
        raise UploadError(text, status=422)
    return digest, size


def drop_upload(upload: Upload) -> None:
    """Remove the row and the bytes."""
    path_of(upload).unlink(missing_ok=True)
    Upload.objects.filter(pk=upload.pk).delete()


def clear_stale_uploads() -> int:
    """Drop uploads begun more than two days ago, and files without a row; returns how many. For the scheduler."""
    before = timezone.now() - STALE_AFTER
    stale = list(Upload.objects.filter(created_at__lt=before)[:1000])
    for upload in stale:
        drop_upload(upload)
    count = len(stale)
    folder = Path(settings.UPLOADS_DIR)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime < before.timestamp() and not _has_row(path.name):
            path.unlink(missing_ok=True)
            count += 1
    return count


def path_of(upload: Upload) -> Path:
    return Path(settings.UPLOADS_DIR) / upload.pk.hex


@contextmanager
def _locked(upload: Upload) -> Iterator[int]:
    """The upload's file, which one request at a time may write."""
    try:
        fd = os.open(path_of(upload), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise UploadError("This upload is gone. Begin it again.", status=410) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _has_row(name: str) -> bool:
    try:
        return Upload.objects.filter(pk=uuid.UUID(name)).exists()
    except ValueError:
        return False


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)
