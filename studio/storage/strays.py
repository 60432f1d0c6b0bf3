"""Objects that no row answers for: what crashes between an upload, or a removal, and its row leave in the store."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from studio.core import objects
from studio.core.models import SharedBlob
from studio.core.objects import Found
from studio.runs.models import Checkpoint

PIECE = 500
_BLOB = re.compile(r"blobs/[0-9a-f]{2}/([0-9a-f]{64})")
_CHECKPOINT = re.compile(r"runs/(\d+)/checkpoints/([^/]+)/.+")


def remove(stale_s: float) -> int:
    """Remove those that are older than `stale_s`; bytes freed. Lists all of the store. StoreError when it is away.

    A row comes before its blob and before its checkpoint's files, so an object that is not new has one, or is a stray.
    """
    before, freed = time.time() - stale_s, 0
    for piece in _pieces(_old(before)):
        if gone := _of_nobody(piece):
            objects.store().remove(one.key for one in gone)
            freed += sum(one.size_bytes for one in gone)
    return freed


def _old(before: float) -> Iterator[Found]:
    for prefix in ("blobs/", "runs/"):
        yield from (one for one in objects.store().listed(prefix) if 0 < one.modified < before)


def _of_nobody(found: list[Found]) -> list[Found]:
    """Two queries."""
    blobs = {match[1]: one for one in found if (match := _BLOB.fullmatch(one.key))}
    known = set(SharedBlob.objects.filter(sha256__in=blobs).values_list("sha256", flat=True))
    files = [(int(match[1]), match[2], one) for one in found if (match := _CHECKPOINT.fullmatch(one.key))]
    rows = Checkpoint.objects.filter(run__in={run for run, _, _ in files}).exclude(
        deleted_at__isnull=False, stored_at=None
    )
    living = set(rows.values_list("run_id", "name"))
    return [one for digest, one in blobs.items() if digest not in known] + [
        one for run, name, one in files if (run, name) not in living
    ]


def _pieces(found: Iterable[Found]) -> Iterator[list[Found]]:
    left = iter(found)
    while piece := list(islice(left, PIECE)):
        yield piece
