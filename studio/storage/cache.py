"""Keeps what this machine has of the object store small: what nobody needs any more goes, then what was used longest ago.

Only copies go: what the store has not got yet stays. Without an object store there are no copies, and nothing happens.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from studio.core import blobs, objects
from studio.core.models import SharedBlob
from studio.runs.models import Attempt, Checkpoint, Run
from studio.runs.shared_checkpoints import FILE, PARTIAL, runs_here
from studio.storage.disk import size_of

IDLE_S = 900.0  # what was put or used since may be about to be opened
SETTLED_FOR = timedelta(hours=1)  # so long the files of an attempt that has ended stay for whoever looks into them
STALE_S = 86_400.0
PIECE = 500


def keep_small() -> int:
    """Tidy, and remove the oldest copies until CACHE_BYTES are left at most; bytes freed. For the scheduler and workers."""
    return tidy() + evict() if objects.is_open() else 0


def tidy() -> int:
    """Remove folders of attempts that have ended, of checkpoints that are gone, and what was half fetched."""
    freed = 0
    for run in runs_here():
        top = Path(settings.RUNS_DIR) / str(run)
        for folder in _of_no_use(run, top):
            freed += size_of(folder)
            shutil.rmtree(folder, ignore_errors=True)
        for empty in (top / "checkpoints", top):
            if _is_idle(empty):
                _remove_if_empty(empty)
    return freed


def evict() -> int:
    """Remove the copies that were used longest ago, but none that runs at work may open; bytes freed."""
    found = sorted(_copies())
    total, freed = sum(size for _, size, _ in found), 0
    spared = _in_use() if total > settings.CACHE_BYTES else set()
    for used_at, size, path in found:
        if total - freed <= settings.CACHE_BYTES or used_at > time.time() - IDLE_S:
            break
        if path in spared or path.parent in spared or not _is_stored(path):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        freed += size
    return freed


def _of_no_use(run: int, top: Path) -> Iterator[Path]:
    """Nothing of a run at work: a checkpoint gets its row only when the database takes it. Three queries."""
    if Run.objects.held().filter(pk=run).exists():
        return
    at_work = set(
        Attempt.objects.filter(run=run)
        .exclude(ended_at__lt=timezone.now() - SETTLED_FOR)
        .values_list("fence", flat=True)
    )
    for folder in top.glob("a*"):
        if folder.name[1:].isdecimal() and int(folder.name[1:]) not in at_work and _is_idle(folder):
            yield folder
    living = set(Checkpoint.objects.filter(run=run, deleted_at=None).values_list("name", flat=True))
    for folder in (top / "checkpoints").glob("*"):
        is_partial = folder.name.startswith(".")
        if folder.name not in living and _is_idle(folder, STALE_S if is_partial else IDLE_S):
            yield folder


def _copies() -> Iterator[tuple[float, int, Path]]:
    """(used last, bytes, path) of each blob and each folder of a checkpoint that is here."""
    for sha256, size in blobs.here():
        path = blobs.path_of(sha256)
        if (used_at := _used_at(path)) is not None:
            yield used_at, size, path
    for run in runs_here():
        for folder in (Path(settings.RUNS_DIR) / str(run) / "checkpoints").glob("*"):
            if not folder.name.startswith(PARTIAL) and (folder / FILE).is_file():
                yield _used_at(folder) or 0.0, size_of(folder), folder


def _in_use() -> set[Path]:
    """Data and checkpoints of the runs at work, wherever they are at work. Two queries."""
    found = set[Path]()
    held = Run.objects.held().select_related("dataset_version", "start_checkpoint")
    for run in held.only("pk", "dataset_version__blobs", "start_checkpoint__name", "start_checkpoint__run_id"):
        found.add(Path(settings.RUNS_DIR) / str(run.pk) / "checkpoints")
        if run.dataset_version is not None:
            found.update(blobs.path_of(digest) for digest in run.dataset_version.blobs.values())
        if (start := run.start_checkpoint) is not None:
            found.add(Path(settings.RUNS_DIR) / str(start.run_id) / "checkpoints" / start.name)
    return found


def _is_stored(path: Path) -> bool:
    """Whether the store has it. One query."""
    if path.parent.name == "checkpoints":
        run, name = int(path.parent.parent.name), path.name
        return Checkpoint.objects.filter(run=run, name=name, stored_at__isnull=False).exists()
    return SharedBlob.objects.filter(sha256=path.name, stored_at__isnull=False).exists()


def _used_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _is_idle(path: Path, idle_s: float = IDLE_S) -> bool:
    used_at = _used_at(path)
    return used_at is not None and used_at < time.time() - idle_s


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
