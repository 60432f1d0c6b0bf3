"""Media of a run: taken over from its folder into blobs, each item once, and read again as pages ask for them.

What user code wrote is hostile: the bytes must be those that the record names and of the type that it says, and only
types that can hold no program are kept (no SVG, no HTML).
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Count, Max, Q, Sum

from studio.core import blobs
from studio.runs.errors import StaleState
from studio.runs.lease import is_held
from studio.runs.models import Attempt
from studio.tracking import publish
from studio.tracking.models import Media
from studio.tracking.stored import limits_of
from trainer_core.events import MAX_MEDIA_BYTES, MEDIA_KINDS, MOST_MEDIA_ITEMS, Position, sniff

MOST_ITEMS, MOST_BYTES = 20_000, 2 << 30  # of one run
MOST_KEY, MOST_CAPTION, MOST_META, MOST_SIDE = 1000, 2000, 4000, 16_384
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
SOUNDS = ("audio/wav", "audio/mpeg", "audio/ogg", "audio/flac")
JSON, TEXT = "application/json", "text/plain"
MIMES: dict[str, tuple[str, ...]] = {
    "image": IMAGES, "audio": SOUNDS, "figure": ("image/png", JSON), "text": (TEXT,),
    "histogram": (JSON,), "table": (JSON,), "matrix": (JSON,),
}  # fmt: skip
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class TooMuchMedia(ValueError):
    """The run has as many as are kept of one."""


@dataclass(frozen=True, slots=True)
class Record:
    """A checked MEDIA frame (see trainer_core.events)."""

    kind: str
    key: str
    step: int
    at_step: int
    epoch: float
    time_s: float
    items: Sequence[dict[str, Any]]


def read_record(payload: bytes) -> Record:
    """ValueError, KeyError or TypeError for one that does not fit."""
    told = json.loads(payload)
    kind, key, items = told["kind"], told["key"], told["items"]
    if kind not in MEDIA_KINDS:
        raise ValueError(f"media of the kind {kind!r:.60}; known are {', '.join(MEDIA_KINDS)}")
    if not isinstance(key, str) or not 0 < len(key) <= MOST_KEY:
        raise ValueError(f"media with the key {key!r:.60}; allowed is a text of 1 to {MOST_KEY} characters")
    if not isinstance(items, list) or not 0 < len(items) <= MOST_MEDIA_ITEMS:
        raise ValueError(f"media {key:.60} without 1 to {MOST_MEDIA_ITEMS} items")
    step, at_step = int(told["step"]), int(told["at"])
    if not 0 <= step < 2**63 or not 0 <= at_step < 2**63:
        raise ValueError(f"media {key:.60} of step {step!r:.40}")
    epoch, time_s = float(told.get("epoch") or 0), float(told["t"])
    if not math.isfinite(epoch) or not math.isfinite(time_s):
        raise ValueError(f"media {key:.60} at no time")
    return Record(kind, _clean(key), step, at_step, epoch, time_s, [_item(kind, item) for item in items])


def _item(kind: str, told: dict[str, Any]) -> dict[str, Any]:
    sha256, size, mime = told["sha256"], told["size"], told["mime"]
    if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
        raise ValueError(f"media with the sha256 {sha256!r:.80}")
    if not isinstance(size, int) or not 0 <= size <= MAX_MEDIA_BYTES:
        raise ValueError(f"media of {size!r:.40} bytes; at most {MAX_MEDIA_BYTES} are kept")
    if mime not in MIMES[kind]:
        raise ValueError(f"media of the type {mime!r:.60}; a {kind} is one of {', '.join(MIMES[kind])}")
    meta = told.get("meta") or {}
    if not isinstance(meta, dict) or len(json.dumps(meta)) > MOST_META:
        raise ValueError(f"media with more than {MOST_META} characters of facts")
    meta = json.loads(json.dumps(meta, allow_nan=False).replace("\\u0000", "\\ufffd"))
    caption = _clean(str(told.get("caption") or ""))[:MOST_CAPTION]
    return {"sha256": sha256, "size_bytes": size, "mime": mime, "caption": caption, "meta": meta}


def _clean(text: str) -> str:
    """Without the characters that no database keeps."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def adopt(run_pk: int, folder: Path | None, record: Record) -> None:
    """Copy the items' bytes into the store of blobs. ValueError when they are not what the record says.

    Copied and not linked: a process of the run that kept the file open could change it later. Only files of this run's
    folder are taken, or blobs that this run has already; a record that names somebody else's blob gets nothing.
    OperationalError, which is tried again, when the disk is full.
    """
    for item in record.items:
        data = _read(folder / item["sha256"], item["size_bytes"]) if folder is not None else None
        if data is None:
            known = Media.objects.filter(run_id=run_pk, sha256=item["sha256"], mime=item["mime"]).exists()
            if not known or not blobs.refresh(item["sha256"]):
                raise ValueError(f"{record.kind} {record.key:.60}: its file is not there")
            continue
        if hashlib.sha256(data).hexdigest() != item["sha256"]:
            raise ValueError(f"{record.kind} {record.key:.60}: its file was changed")
        check_content(data, item["mime"])
        try:
            blobs.put_bytes(data)
        except OSError as error:
            if error.errno in FULL_DISK:
                raise OperationalError(f"the disk takes no files: {error.strerror}") from error
            raise ValueError(f"{record.kind} {record.key:.60}: it could not be stored ({error.strerror})") from error


def _read(path: Path, size: int) -> bytes | None:
    """The bytes of a plain file of this size, never through a link; None when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if os.fstat(fd).st_size != size:
            return b""
        return file.read(size)


def check_content(data: bytes, mime: str) -> None:
    """ValueError when the bytes are not of this type, or an image is too large for any screen."""
    if mime in IMAGES or mime in SOUNDS:
        if sniff(data) != mime:
            raise ValueError(f"a file that says it is {mime} and is not")
        if mime == "image/png" and max(struct.unpack_from(">II", data.ljust(24, b"\0"), 16)) > MOST_SIDE:
            raise ValueError(f"an image with a side of more than {MOST_SIDE} pixels")
    elif mime == JSON:
        if not isinstance(json.loads(data), dict):
            raise ValueError("media whose data are no object")
    else:
        data.decode()


def check_room(run_pk: int, record: Record) -> int:
    """TooMuchMedia when the run has as many as are kept, else the newest number of those that it has. One query."""
    found = Media.objects.filter(run_id=run_pk).aggregate(newest=Max("seq"), count=Count("pk"), size=Sum("size_bytes"))
    size = (found["size"] or 0) + sum(item["size_bytes"] for item in record.items)
    if found["count"] + len(record.items) > MOST_ITEMS or size > MOST_BYTES:
        raise TooMuchMedia(
            f"This run has {found['count']:,} media of {(found['size'] or 0) / 2**20:,.0f} MB; at most {MOST_ITEMS:,} "
            f"and {MOST_BYTES >> 20:,} MB are kept of one run. Further ones are left out; log them less often."
        )
    return found["newest"] or 0


def keep_media(run_pk: int, fence: int, record: Record, position: Position) -> int:
    """Insert the rows of what was adopted; returns the newest number of the run. Call it in the transaction that moves
    the attempt's spool cursor to `position`: a replay then changes nothing. Four queries.

    StaleState when the attempt is superseded; TooMuchMedia beyond MOST_ITEMS or MOST_BYTES.
    """
    with transaction.atomic():
        if not is_held(run_pk, fence):
            raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
        at = Attempt.objects.values_list("spool_segment", "spool_offset").get(run_id=run_pk, fence=fence)
        if position <= at:
            return Media.objects.filter(run_id=run_pk).aggregate(newest=Max("seq"))["newest"] or 0
        newest = check_room(run_pk, record)
        Media.objects.bulk_create(
            Media(
                run_id=run_pk, fence=fence, seq=newest + 1 + i, kind=record.kind, key=record.key, step=record.step,
                at_step=record.at_step, epoch=record.epoch, logged_at_s=record.time_s, position=i, **item,
            )
            for i, item in enumerate(record.items)
        )  # fmt: skip
        newest += len(record.items)
        transaction.on_commit(lambda: publish.media(run_pk, newest))
    return newest


def forget_files(folder: Path, record: Record) -> None:
    """Remove from the run's folder what is a blob now."""
    for item in record.items:
        with suppress(OSError):
            (folder / item["sha256"]).unlink()


def visible_media(run_pk: int) -> Any:
    """Rows of the surviving line of attempts, by number. One query for the attempts."""
    rows = Media.objects.filter(run_id=run_pk)
    for fence, limit in limits_of(run_pk).items():
        rows = rows.exclude(Q(fence=fence) & Q(at_step__gt=limit))
    return rows.order_by("seq")


def line_of(run_pk: int) -> str:
    """Changes when a resume abandons what may have been shown. One query."""
    return ",".join(f"{fence}:{limit}" for fence, limit in sorted(limits_of(run_pk).items()))


def keys_of(run_pk: int, words: str = "") -> Any:
    """{key, kind, newest, steps} of what is visible, by key. Two queries."""
    rows = visible_media(run_pk).filter(key__icontains=words) if words else visible_media(run_pk)
    rows = rows.order_by("key", "kind").values("key", "kind")
    return rows.annotate(newest=Max("seq"), steps=Count("step", distinct=True))
