"""The files of the data directory against the rows that answer for them: what belongs to nobody, what is missing.

Every file below blobs, uploads and runs belongs to a unit: a blob, an upload, the folder of a checkpoint or of an attempt.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import F, Q

from studio.core import objects
from studio.core.models import SharedBlob
from studio.registry.models import Upload
from studio.runs.models import Attempt, Checkpoint
from studio.storage.held import dataset_files
from studio.tracking.models import Media

_UNITS = re.compile(
    r"blobs/[0-9a-f]{2}/[0-9a-f]{64}|uploads/[^/]+|runs/\d+/checkpoints/[^/]+|runs/\d+/a\d+|[^/]+(/[^/]+)?"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A unit by its path below the data directory: what its files hold, and what the rows say."""

    path: str
    on_disk: int
    in_rows: int

    @property
    def words(self) -> str:
        if not self.in_rows:
            return "belongs to nobody"
        return "is missing" if not self.on_disk else f"should have {self.in_rows:,} bytes"


def differences() -> list[Difference]:
    """Where disk (with an object store, that) and rows do not agree. Looks at every file; for the administrator, not for a page."""
    found, expected = on_disk(), dict(units())
    paths = sorted({*found, *expected})
    pairs = [Difference(path, found.get(path, 0), expected.get(path, 0)) for path in paths]
    return [pair for pair in pairs if pair.on_disk != pair.in_rows]


def on_disk() -> dict[str, int]:
    """Bytes of each unit. Several names of one file count once, as in `du`."""
    found: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    roots = [settings.BLOBS_DIR, settings.UPLOADS_DIR, settings.RUNS_DIR]
    if objects.is_open():
        roots = [settings.UPLOADS_DIR]
        for one in objects.store().listed(""):
            if match := _UNITS.match(one.key):
                found[match[0]] = found.get(match[0], 0) + one.size_bytes
    for root in roots:
        for path, status in files_below(Path(root)):
            match = _UNITS.match(path.relative_to(settings.DATA_DIR).as_posix())
            if match and (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                found[match[0]] = found.get(match[0], 0) + status.st_size
    return found


def units() -> Iterator[tuple[str, int]]:
    """What the rows say: (path, bytes). Four queries."""
    if objects.is_open():
        yield from _shared_units()
        return
    for digest, size in Media.objects.values_list("sha256", "size_bytes").order_by().distinct().iterator():
        yield f"blobs/{digest[:2]}/{digest}", size
    for _, digest, size in dataset_files(None):
        yield f"blobs/{digest[:2]}/{digest}", size
    yield from _uploads()
    rows = Checkpoint.objects.filter(deleted_at=None).values_list("run_id", "name", "size_bytes", "manifest_bytes")
    for run, name, size, manifest in rows.iterator():
        yield f"runs/{run}/checkpoints/{name}", size + manifest
    attempts = Attempt.objects.exclude(files_bytes=None).values_list("run_id", "fence", "files_bytes")
    for run, fence, measured in attempts.iterator():
        yield f"runs/{run}/a{fence}", measured or 0


def _shared_units() -> Iterator[tuple[str, int]]:
    """Of what the object store has got so far; folders of attempts are on the machines of workers. Three queries."""
    for digest, size in SharedBlob.objects.filter(stored_at__isnull=False).values_list("sha256", "size_bytes"):
        yield f"blobs/{digest[:2]}/{digest}", size
    yield from _uploads()
    # Equal: let go of before the store had all of it, to be looked for there (`let_go`).
    stored = Checkpoint.objects.filter(Q(deleted_at=None) | Q(stored_at__lt=F("deleted_at")), stored_at__isnull=False)
    for run, name, size, manifest in stored.values_list("run_id", "name", "size_bytes", "manifest_bytes").iterator():
        yield f"runs/{run}/checkpoints/{name}", size + manifest


def _uploads() -> Iterator[tuple[str, int]]:
    for key, received in Upload.objects.values_list("pk", "received_bytes"):
        yield f"uploads/{key.hex}", received


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every plain file and its status, links not followed; what goes away meanwhile is left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from files_below(Path(entry.path))
        elif stat.S_ISREG(status.st_mode):
            yield Path(entry.path), status


def size_of(folder: Path) -> int:
    return sum(status.st_size for _, status in files_below(folder))


def freed_by_removing(folder: Path) -> int:
    """What the disk gets back: bytes that have another name elsewhere stay."""
    return sum(status.st_size for _, status in files_below(folder) if status.st_nlink == 1)
