"""Removes something of runs that have ended: checkpoints, logs, media, working files, points. Says what became free.

Rows go in a transaction that holds the run, so that nobody resumes it meanwhile; files follow once that is committed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Length

from studio.accounts.models import User
from studio.runs import checkpoints
from studio.runs.models import SETTLED, Attempt, Run
from studio.storage.disk import freed_by_removing, size_of
from studio.storage.models import Removal
from studio.storage.sweep import release
from studio.tracking.models import LogChunk, Media, MetricAxis, MetricChunk, MetricFrame

PIECE = 500
KEEP_CHECKPOINTS = 1


@dataclass(frozen=True, slots=True)
class Freed:
    """How many things went; bytes that the disk got back, and bytes in the database, which uses them again."""

    count: int = 0
    files_bytes: int = 0
    database_bytes: int = 0

    def __add__(self, other: Freed) -> Freed:
        return Freed(
            self.count + other.count, self.files_bytes + other.files_bytes, self.database_bytes + other.database_bytes
        )

    @property
    def size_bytes(self) -> int:
        return self.files_bytes + self.database_bytes


def carry_out(
    kind: str, runs: Iterable[int], *, why: str, by: User | None = None, keep_bytes: int | None = None
) -> Freed:
    """Remove this kind of thing of each of these runs, and note it; runs that are at work again are left alone.

    `keep_bytes` is for logs: so much of the newest output of each run stays.
    """
    total = Freed()
    for pk in runs:
        # Its row is held, files or not: who empties the trash of it meanwhile would count the same bytes.
        with transaction.atomic():
            run = Run.objects.select_for_update().filter(pk=pk).only("pk", "project_id").first()
            if run is None:
                continue
            freed = logs(pk, keep_bytes=keep_bytes) if kind == Removal.Kind.LOGS else REMOVERS[kind](pk)
            if freed.count:
                note(kind, freed, why=why, by=by, run=run)
        total += freed
    return total


def note(kind: str, freed: Freed, *, why: str, by: User | None, run: Run) -> None:
    Removal.objects.create(
        project_id=run.project_id, run=run, kind=kind, count=freed.count, files_bytes=freed.files_bytes,
        database_bytes=freed.database_bytes, why=why[:200], by=by,
    )  # fmt: skip


def retire_checkpoints(run_pk: int) -> Freed:
    """All but the newest, the best, the pinned, the promoted and those that other runs began with."""
    if not Run.objects.filter(pk=run_pk, state__in=SETTLED).exists():
        return Freed()
    count, size = checkpoints.let_go(run_pk, KEEP_CHECKPOINTS)
    return Freed(count, files_bytes=size)


def logs(run_pk: int, *, keep_bytes: int | None = None) -> Freed:
    """All of them, or what is older than the newest `keep_bytes` as they are stored."""
    with transaction.atomic():
        if not _holds(run_pk):
            return Freed()
        gone, size = old_logs(run_pk, keep_bytes)
        for at in range(0, len(gone), PIECE):
            LogChunk.objects.filter(pk__in=gone[at : at + PIECE]).delete()
    return Freed(len(gone), database_bytes=size)


def old_logs(run_pk: int, keep_bytes: int | None) -> tuple[list[int], int]:
    """(keys of the pieces that do not fit into `keep_bytes`, their bytes). One query."""
    rows = LogChunk.objects.filter(run=run_pk).order_by("-fence", "-offset").annotate(stored=Length("data"))
    kept, size, gone = 0, 0, list[int]()
    for pk, stored in rows.values_list("pk", "stored"):
        if keep_bytes is not None and not gone and kept + stored <= keep_bytes:
            kept += stored
        else:
            gone.append(pk)
            size += stored
    return gone, size


def media(run_pk: int) -> Freed:
    with transaction.atomic():
        if not _holds(run_pk):
            return Freed()
        rows = Media.objects.filter(run=run_pk)
        digests = set(rows.order_by().values_list("sha256", flat=True))
        count = rows.delete()[0]
    return Freed(count, files_bytes=release(digests))


def working(run_pk: int) -> Freed:
    """The folders of its attempts: what the trainer wrote is in the database by now."""
    if not Run.objects.filter(pk=run_pk, state__in=SETTLED).exists():
        return Freed()
    freed = Freed()
    for attempt in Attempt.objects.filter(run=run_pk, ended_at__isnull=False).exclude(files_bytes=0):
        folder = settings.RUNS_DIR / str(run_pk) / f"a{attempt.fence}"
        size = freed_by_removing(folder)
        shutil.rmtree(folder, ignore_errors=True)
        Attempt.objects.filter(pk=attempt.pk).update(files_bytes=(left := size_of(folder)))
        if size > left:
            freed += Freed(1, files_bytes=size - left)
    return freed


def points(run_pk: int) -> Freed:
    """The values behind its charts; what each metric came to in the end stays with the run."""
    with transaction.atomic():
        if not _holds(run_pk):
            return Freed()
        count, size = 0, 0
        for of_rows in (MetricFrame, MetricAxis):
            count += of_rows.objects.filter(run=run_pk).aggregate(rows=Sum("n"))["rows"] or 0
        for table in POINTS:
            rows = table.objects.filter(run=run_pk).order_by()
            size += stored_in(rows)
            rows.delete()
    return Freed(count, database_bytes=size)


POINTS: tuple[type[MetricFrame | MetricAxis | MetricChunk], ...] = (MetricFrame, MetricChunk, MetricAxis)


def stored_in(rows: QuerySet[MetricFrame] | QuerySet[MetricAxis] | QuerySet[MetricChunk]) -> int:
    size = Length("data") if rows.model is MetricFrame else Length("data") + Length("bins")
    return rows.aggregate(size=Sum(size))["size"] or 0


def _holds(run_pk: int) -> bool:
    """Whether it has ended, and nobody can resume it before the transaction ends."""
    return Run.objects.select_for_update().filter(pk=run_pk, state__in=SETTLED).exists()


REMOVERS: dict[str, Callable[[int], Freed]] = {
    Removal.Kind.CHECKPOINTS: retire_checkpoints,
    Removal.Kind.LOGS: logs,
    Removal.Kind.MEDIA: media,
    Removal.Kind.WORKING: working,
    Removal.Kind.POINTS: points,
}
