"""Files as answers: streamed without being read whole, resumable by Range; a download or shown, but never a page.

A download may take hours. Whether it may go on is asked again and again; one that may not is broken off in the middle,
so that nobody takes it for whole.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header, parse_etags

from studio.core.stored_files import Reading, StoredFile
from studio.core.stores import StoreError

log = logging.getLogger(__name__)
CHUNK_BYTES = 256 << 10
SHOWN_S = 86_400
ASK_EVERY_S = 4.0
Still = Callable[[], bool]
_readers = ThreadPoolExecutor(16, "object")  # of their own: a slow store holds up no file that is here
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class BrokenOff(asyncio.CancelledError):
    """Who asked for the answer may not read it any more, or there is no right end of it. Django then closes the answer,
    `core.backpressure` the connection."""


def stream_file(
    request: HttpRequest,
    source: str | Path | StoredFile,
    filename: str,
    *,
    still: Still | None,
    sha256: str = "",
    shown_as: str = "",
) -> HttpResponseBase:
    """200, 206, 304 or 416 for GET and HEAD; Http404 when the file is gone, StoreError when it lies in an object store
    that does not give it.

    With `sha256` (of the whole file) the answer has it as ETag and as Repr-Digest, by which a client verifies what it
    put together. `shown_as` is the type of a content that never changes and that pages may show; it must be one that can
    hold no program. The caller has checked the right to read; `still` asks for it again every ASK_EVERY_S. One system call
    a 256 KB, one request to the store a 4 MB; memory does not grow with the file.
    """
    if isinstance(source, StoredFile):
        sha256 = source.sha256
        response = _answer(request, f'"{sha256}"', source.size_bytes, lambda a, b: _Stored(source.reading(a, b), still))
        _describe(response, filename, f'"{sha256}"', sha256, shown_as)
        return response
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Http404 from error
    with os.fdopen(fd, "rb", buffering=0):
        status = os.fstat(fd)
        etag = f'"{sha256 or f"{status.st_size:x}-{status.st_mtime_ns:x}"}"'
        response = _answer(request, etag, status.st_size, lambda a, b: _Piece(os.dup(fd), a, b, still))
    _describe(response, filename, etag, sha256, shown_as)
    return response


def _answer(
    request: HttpRequest, etag: str, size: int, body: Callable[[int, int], AsyncIterable[bytes]]
) -> HttpResponseBase:
    """`body` is what is sent of the file, from a byte to another."""
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return HttpResponse(status=304)
    wanted = _range_of(request, size, etag)
    if wanted == ():
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = wanted or (0, size)
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(status=206 if wanted else 200)
    else:
        response = StreamingHttpResponse(body(start, end), status=206 if wanted else 200)
    response.headers["Content-Length"] = str(end - start)
    if wanted:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response


def _describe(response: HttpResponseBase, filename: str, etag: str, sha256: str, shown_as: str) -> None:
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Type": shown_as or "application/octet-stream",
        "Content-Disposition": content_disposition_header(not shown_as, safe_name(filename)) or "attachment",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": f"private, max-age={SHOWN_S}, immutable" if shown_as else "private, no-cache",
    }
    if sha256:
        headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
    for name, value in headers.items():
        response.headers[name] = value


def safe_name(filename: str) -> str:
    """A name without folders, control characters and quotes; at most 150 characters."""
    name = re.sub(r"[\x00-\x1f\x7f\"\\/:*?<>|]+", "_", filename).strip(". ")
    return name[-150:] or "download"


def _range_of(request: HttpRequest, size: int, etag: str) -> tuple[int, int] | tuple[()] | None:
    """(start, end) of one satisfiable range, () for one that is not, None for all of the file.

    As RFC 9110 allows, several ranges or words that cannot be read mean all of it.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if match is None or match[0] == "bytes=-" or request.headers.get("If-Range", etag) != etag:
        return None
    if not match[1]:
        last = int(match[2])
        return (max(size - last, 0), size) if last and size else ()
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if match[2] and int(match[2]) < start:
        return None
    return (start, end) if start < size else ()


class Parts:
    """An answer made piece by piece in a thread while it is sent: the next is made when the one before has gone out."""

    def __init__(self, parts: Iterator[bytes], still: Still | None = None) -> None:
        self._parts, self._right = parts, _Right(still)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        following = sync_to_async(partial(next, self._parts, None))
        while (part := await following()) is not None:
            await self._right.check()
            yield part


def stream_parts(
    parts: Iterator[bytes], filename: str, content_type: str, *, still: Still | None
) -> StreamingHttpResponse:
    """A download that is made while it is sent, so without a length or ranges; the caller has checked the right to read,
    for which `still` asks again."""
    response = StreamingHttpResponse(Parts(parts, still), content_type=content_type)
    response["Content-Disposition"] = content_disposition_header(True, safe_name(filename)) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    return response


class _Piece:
    """Bytes `start` to `end` of an open file, which it closes; read in a thread, so that the event loop goes on."""

    def __init__(self, fd: int, start: int, end: int, still: Still | None) -> None:
        self._file, self._start, self._end = os.fdopen(fd, "rb", buffering=0), start, end
        self._right = _Right(still)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = self._start
        while at < self._end:
            chunk = await asyncio.to_thread(os.pread, self._file.fileno(), min(CHUNK_BYTES, self._end - at), at)
            if not chunk:
                raise OSError("the file became shorter while it was sent")
            await self._right.check()
            at += len(chunk)
            yield chunk

    def close(self) -> None:
        """Called by Django when the answer ends, also when the client went away."""
        self._file.close()


class _Stored:
    """Bytes of an object of the store; the next piece is read while the one before goes out."""

    def __init__(self, reading: Reading, still: Still | None) -> None:
        self._reading, self._right = reading, _Right(still)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        following = asyncio.get_running_loop().run_in_executor
        chunk = self._reading.next_piece()  # that one is there
        while chunk:
            coming = following(_readers, self._reading.next_piece)
            try:
                await self._right.check()
                yield chunk
                chunk = await coming
            except StoreError as error:
                log.warning("a download was broken off: %s", error)
                raise BrokenOff from error
            finally:
                coming.cancel()

    def close(self) -> None:
        """Called by Django when the answer ends, also when the client went away."""
        self._reading.close()


class _Right:
    """Whether an answer may go on; its beginning was allowed just now."""

    def __init__(self, still: Still | None) -> None:
        self._still, self._asked_at = still, time.monotonic()

    async def check(self) -> None:
        """BrokenOff when it may not. A database that is away is asked again for the next piece."""
        if self._still is None or time.monotonic() - self._asked_at < ASK_EVERY_S:
            return
        try:
            may_go_on = await sync_to_async(self._still)()
        except (OperationalError, InterfaceError):
            return
        if not may_go_on:
            raise BrokenOff
        self._asked_at = time.monotonic()
