"""The trash of a project: what is in it, out of it again, and gone for good; runs, models and datasets alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, ProtectedError, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from studio.accounts.audit import record
from studio.accounts.models import Project, User
from studio.core import objects
from studio.registry.models import Dataset, DatasetVersion, Model
from studio.runs import bulk, shared_checkpoints
from studio.runs.models import SETTLED, Attempt, Checkpoint, Run, State
from studio.runs.registered_models import RegisteredVersion
from studio.storage.disk import freed_by_removing, size_of
from studio.storage.errors import StorageError
from studio.storage.held import OF_FILES, in_database, of_runs, stored_sizes
from studio.storage.let_go import POINTS, Freed
from studio.storage.models import Removal, RetentionRule
from studio.storage.sweep import release
from studio.storage.uses import against_trash
from studio.tracking.models import LogChunk, Media, RunResult, SystemSample

DAYS = 30
MOST_AT_ONCE = 1000
#: What may be in the trash, by the word that forms use.
TABLES: dict[str, type[Run | Model | Dataset]] = {"run": Run, "model": Model, "dataset": Dataset}


@dataclass(frozen=True, slots=True)
class Entry:
    """`goes_at` is when it is removed for good; None for never."""

    kind: str
    pk: int
    name: str
    deleted_at: datetime
    goes_at: datetime | None
    size_bytes: int


def entries(project: Project) -> list[Entry]:
    """All of it, the newest first; at most MOST_AT_ONCE of a kind. About 18 queries."""
    days, sizes = days_of(project), of_runs(project.pk)
    found = []
    for kind, table in TABLES.items():
        rows: QuerySet[Any] = table.objects.filter(project=project, deleted_at__isnull=False)
        rows = rows.defer("spec", "summary", "progress") if table is Run else rows
        for row in rows.order_by("-deleted_at")[:MOST_AT_ONCE]:
            goes = None if days is None else row.deleted_at + timedelta(days=days)
            size = sum(sizes.get(row.pk, {}).values()) if kind == "run" else size_of_entry(row)
            found.append(Entry(kind, row.pk, str(row), row.deleted_at, goes, size))
    return sorted(found, key=lambda entry: entry.deleted_at, reverse=True)


def days_of(project: Project) -> int | None:
    """After how many days the trash lets go: of the project's rule, else its team's, else DAYS. None for never."""
    rules = RetentionRule.objects.filter(team=project.team_id, kind=RetentionRule.Kind.TRASH)
    found = {rule.project_id: rule for rule in rules.filter(Q(project=project) | Q(project=None))}
    rule = found.get(project.pk) or found.get(None)
    return DAYS if rule is None else rule.after_days


def move_entry(*, entry: Model | Dataset, user: User) -> None:
    """Into the trash; StorageError names the runs that use it."""
    with transaction.atomic():
        if why := against_trash(entry):
            raise StorageError(why)
        if type(entry).objects.filter(pk=entry.pk, deleted_at=None).update(deleted_at=Now()):
            record(user, f"{entry._meta.model_name}.trash", entry)


def move_runs(*, pks: Sequence[int], user: User) -> int:
    """Into the trash, those that have ended and whose checkpoints are not versions of registered models; how many."""
    return bulk.carry_out("trash", pks, user=user).count if pks else 0


def restore(*, project: Project, kind: str, pk: int, user: User) -> str:
    """Out of the trash; its name. StorageError when it is not there."""
    table = TABLES.get(kind)
    row = table.objects.filter(project=project, pk=pk, deleted_at__isnull=False).first() if table else None
    if table is None or row is None:
        raise StorageError("That is not in the trash any more.")
    with transaction.atomic():
        table.objects.filter(pk=pk).update(deleted_at=None)
        record(user, f"{kind}.restore", row)
    return str(row)


def purge(*, project: Project, kind: str, pk: int, why: str, by: User | None = None) -> Freed:
    """For good; StorageError when it is not in the trash, or something needs it."""
    if kind == "run":
        return purge_run(project.pk, pk, why=why, by=by)
    if kind in TABLES:
        return _purge_entry(project.pk, kind, pk, why=why, by=by)
    raise StorageError("That is not in the trash any more.")


def empty(*, project: Project, why: str, user: User) -> tuple[Freed, list[str]]:
    """All of it, for good: what became free, and why something had to stay."""
    total, stayed = Freed(), []
    for kind, pk in old_entries(project, 0):
        try:
            total += purge(project=project, kind=kind, pk=pk, why=why, by=user)
        except StorageError as error:
            stayed.append(str(error))
    return total, stayed


def purge_run(project_pk: int, pk: int, *, why: str, by: User | None = None) -> Freed:
    """The run with all that it has. One whose checkpoint was a version of a registered model stays as an empty row, so
    that the history of that model can name it.

    Whoever promotes a checkpoint meanwhile is either first, and the run stays, or finds it gone.
    """
    with transaction.atomic():
        found = Run.objects.select_for_update().filter(project=project_pk, pk=pk, deleted_at__isnull=False)
        run = found.filter(state__in=[*SETTLED, State.DRAFT]).first()
        if run is None:
            raise StorageError("That run is not in the trash any more.")
        Checkpoint.objects.filter(run=run, deleted_at=None, is_promoted=False).update(deleted_at=Now(), is_best=False)
        if Checkpoint.objects.filter(run=run, deleted_at=None).exists():
            raise StorageError(
                f"A checkpoint of {run} is a version of a registered model. Delete that version first, "
                "or take the run out of the trash."
            )
        digests = set(Media.objects.filter(run=run).order_by().values_list("sha256", flat=True))
        is_named = RegisteredVersion.objects.filter(checkpoint__run=run).exists()
        size = in_database(pk, with_spec=not is_named)
        for rows in (*POINTS, LogChunk, Media, SystemSample, RunResult):
            rows.objects.filter(run=run).delete()
        if is_named:
            Attempt.objects.filter(run=run).update(files_bytes=0)
        else:
            run.delete()
        record(by, "run.purge", run.project, run=str(run)[:100])
    with transaction.atomic():
        # Held where it stays: who cleans it up meanwhile, or purges it again, would count the same files.
        Run.objects.select_for_update().filter(pk=pk).only("pk").first()
        freed = Freed(1, release(digests) + _remove_folder(pk), size)
        _note(project_pk, Removal.Kind.RUN, str(run), freed, why, by, run_pk=pk if is_named else None)
    return freed


def purge_old() -> int:
    """Remove for good what has been in a trash for longer than its rule says; how many. For the scheduler."""
    count = 0
    for project in _with_trash():
        for kind, pk in old_entries(project, days_of(project)):
            try:
                purge(project=project, kind=kind, pk=pk, why="was in the trash for its time")
                count += 1
            except StorageError:
                continue
    return count


def old_entries(project: Project, days: int | None, now: datetime | None = None) -> list[tuple[str, int]]:
    """(kind, key) of what has been in the trash for so many days; runs first, since models and data wait for them."""
    if days is None:
        return []
    before = (now or timezone.now()) - timedelta(days=days)
    found = []
    for kind, table in TABLES.items():
        rows: QuerySet[Any] = table.objects.filter(project=project, deleted_at__lt=before)
        if table is Run:  # those that stay as a name have nothing left to remove
            rows = rows.exclude(pk__in=Removal.objects.filter(kind=Removal.Kind.RUN, run__isnull=False).values("run"))
        found += [(kind, pk) for pk in rows.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE]]
    return found


def size_of_entry(entry: Model | Dataset) -> int:
    """The bytes of the stored files of a dataset, each once; a model is its code, which is not counted here."""
    if isinstance(entry, Model):
        return 0
    sizes = dict[str, int]()
    for told in entry.versions.values_list(*OF_FILES):
        sizes |= stored_sizes(*told)
    return sum(sizes.values())


def _purge_entry(project_pk: int, kind: str, pk: int, *, why: str, by: User | None) -> Freed:
    table: Any = TABLES[kind]
    with transaction.atomic():
        row = table.objects.select_for_update().filter(project=project_pk, pk=pk, deleted_at__isnull=False).first()
        if row is None:
            raise StorageError("That is not in the trash any more.")
        name, digests = str(row), set[str]()
        if kind == "dataset":
            for files in DatasetVersion.objects.filter(dataset=row).values_list("blobs", flat=True):
                digests |= set(files.values())
        try:
            project = row.project
            row.delete()
        except ProtectedError as error:
            raise StorageError(f"Runs of {name} are still there. Empty them out of the trash first.") from error
        record(by, f"{kind}.purge", project, what=name[:100])
    freed = Freed(1, release(digests))
    _note(project_pk, kind, name, freed, why, by)
    return freed


def _remove_folder(run_pk: int) -> int:
    folder = settings.RUNS_DIR / str(run_pk)
    size = freed_by_removing(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if objects.is_open():  # what was here was a copy
        return shared_checkpoints.remove_run(run_pk)
    return size - size_of(folder)


def _note(
    project_pk: int, kind: str, what: str, freed: Freed, why: str, by: User | None, *, run_pk: int | None = None
) -> None:
    Removal.objects.create(
        project_id=project_pk, run_id=run_pk, kind=kind, what=what[:200], count=1, files_bytes=freed.files_bytes,
        database_bytes=freed.database_bytes, why=why[:200], by=by,
    )  # fmt: skip


def _with_trash() -> Iterator[Project]:
    trashed = [
        Exists(table.objects.filter(project=OuterRef("pk"), deleted_at__isnull=False)) for table in TABLES.values()
    ]
    yield from Project.objects.filter(trashed[0] | trashed[1] | trashed[2]).order_by("pk")
