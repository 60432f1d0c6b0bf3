"""The output of an attempt, kept in compressed pieces; the first and the newest part of a very long one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max

from studio.runs.errors import StaleState
from studio.runs.lease import is_held
from studio.runs.models import Attempt
from studio.tracking import publish
from studio.tracking.models import LogChunk

HEAD_BYTES, TAIL_BYTES = 1 << 20, 128 << 20  # about a tenth of it compressed
CONTEXT_BYTES, AROUND_BYTES = 4000, 64_000


@dataclass(frozen=True, slots=True)
class LogText:
    """A piece of a log: where it begins and ends (raw bytes of the attempt's output), and how long all of it is."""

    text: str
    offset: int
    end: int
    size: int
    fence: int


@dataclass(frozen=True, slots=True)
class Around:
    """A line, and some of what was printed before and after it; `size` is how long all of the log is, in bytes."""

    before: str
    line: str
    after: str
    size: int


def append_log(run_pk: int, fence: int, offset: int, data: bytes) -> None:
    """Store output that begins at `offset`. Replays change nothing; StaleState when the attempt is superseded."""
    with transaction.atomic():
        if not is_held(run_pk, fence):
            raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
        attempt = Attempt.objects.get(run_id=run_pk, fence=fence)
        if offset != attempt.log_bytes:
            return
        LogChunk.objects.create(
            run_id=run_pk,
            fence=fence,
            offset=offset,
            size=len(data),
            lines=data.count(b"\n"),
            data=zlib.compress(data, 6),
        )
        end = offset + len(data)
        Attempt.objects.filter(pk=attempt.pk).update(log_bytes=end)
        middle = LogChunk.objects.filter(
            run_id=run_pk, fence=fence, offset__gte=HEAD_BYTES, offset__lt=end - TAIL_BYTES
        )
        if end > HEAD_BYTES + TAIL_BYTES:
            middle.delete()
        text = data.decode("utf-8", "replace")
        transaction.on_commit(lambda: publish.log_text(run_pk, fence, offset, text))


def read_log(run_pk: int, fence: int | None = None, offset: int | None = None, limit: int = 256_000) -> LogText:
    """From `offset` on, or the newest `limit` bytes; of the newest attempt when none is named.

    A part that is no longer kept is replaced by a line that says how many bytes are missing.
    """
    attempts = Attempt.objects.filter(run_id=run_pk)
    if fence is None:
        fence = attempts.aggregate(newest=Max("fence"))["newest"] or 0
    size = attempts.filter(fence=fence).values_list("log_bytes", flat=True).first() or 0
    start = max(size - limit, 0) if offset is None else max(min(offset, size), 0)
    parts: list[bytes] = []
    at = start
    chunks = LogChunk.objects.filter(run_id=run_pk, fence=fence, offset__lt=start + limit).order_by("offset")
    # Not all pieces from the first one on: the log may be long, and its end is what is looked at.
    at_start = chunks.filter(offset__lte=start).order_by("-offset").values_list("offset", flat=True).first()
    chunks = chunks.filter(offset__gte=at_start or 0)
    for chunk in chunks.iterator(chunk_size=16):
        if chunk.offset + chunk.size <= start:
            continue
        if chunk.offset > at:
            parts.append(f"\n… {chunk.offset - at} bytes are not kept …\n".encode())
            at = chunk.offset
        raw = zlib.decompress(chunk.data)
        parts.append(raw[at - chunk.offset : start + limit - chunk.offset])
        at = min(chunk.offset + chunk.size, start + limit)
    if at < (end := min(start + limit, size)):
        parts.append(f"\n… {end - at} bytes are not kept …\n".encode())
        at = end
    return LogText(b"".join(parts).decode("utf-8", "replace"), start, at, size, fence)


def read_around(run_pk: int, fence: int, offset: int) -> Around:
    """The line that begins at `offset`, between CONTEXT_BYTES before it and AROUND_BYTES from it on."""
    start = max(0, offset - CONTEXT_BYTES)
    before = read_log(run_pk, fence, start, offset - start)
    found = read_log(run_pk, fence, offset, AROUND_BYTES)
    line, end, after = found.text.partition("\n")
    return Around(before.text if offset else "", line + end, after, found.size)


def whole_log(run_pk: int, fence: int) -> Iterator[bytes]:
    """All that is kept, piece by piece, for a download."""
    at = 0
    size = Attempt.objects.filter(run_id=run_pk, fence=fence).values_list("log_bytes", flat=True).first() or 0
    for chunk in LogChunk.objects.filter(run_id=run_pk, fence=fence).order_by("offset").iterator(chunk_size=8):
        if chunk.offset > at:
            yield f"\n… {chunk.offset - at} bytes are not kept …\n".encode()
        yield zlib.decompress(chunk.data)
        at = chunk.offset + chunk.size
    if at < size:
        yield f"\n… {size - at} bytes are not kept …\n".encode()
