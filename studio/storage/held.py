"""How many bytes each project, run and kind of thing holds: answered by the database alone, as the disk would say it.

Sizes of files are those that the disk states (what `du --apparent-size` sums); sizes in the database are those of the
values, without the pages around them. A file that several rows name counts once: for the first of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import BigIntegerField, F, Func, Min, QuerySet, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Length

from studio.registry.models import WORKBOOK, DatasetVersion, ModelVersion, Upload
from studio.reports.models import ReportVersion, ShareLink
from studio.runs.models import Attempt, Checkpoint, Run
from studio.tracking.models import LogChunk, Media, MetricAxis, MetricChunk, MetricFrame, RunResult, SystemSample

Group = Literal["project", "run"]
#: What says of a dataset's version that its files stay where they are: on the server, or in a store.
OF_FILES = ("blobs", "size_bytes", "info__workbook__size_bytes", "info__server_file", "info__stored")
Sizes = dict[int, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`is_file`: on the disk as files; else values in the database."""

    key: str
    label: str
    is_file: bool
    note: str


KINDS = {
    kind.key: kind
    for kind in (
        Kind("checkpoints", "Checkpoints", True, "Weights and the state to go on from, with their manifests."),
        Kind("datasets", "Datasets", True, "Files that were uploaded or fetched; not those that stay where they are."),
        Kind("media", "Media", True, "Pictures, sounds, tables and texts that runs logged."),
        Kind("working", "Working files", True, "What trainers wrote down while they ran; the database has it since."),
        Kind("uploads", "Uploads under way", True, "Files that are arriving, or wait to be looked into."),
        Kind("points", "Points", False, "The values of the charts."),
        Kind("logs", "Logs", False, "What runs printed, compressed."),
        Kind("machine", "Machine and results", False, "Use of processors and memory; results on the validation split."),
        Kind("code", "Code and configuration", False, "Of models, of datasets, and of each run."),
        Kind("reports", "Reports", False, "Their versions and frozen numbers, and those of shared links."),
    )
}


class Octets(Func):
    """The bytes of a text or JSON value, whatever its characters."""

    function = "OCTET_LENGTH"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **more)

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(compiler, connection, template="OCTET_LENGTH((%(expressions)s)::text)", **more)


#: Of tables with a run: (kind, table, bytes of a row).
_OF_RUN: tuple[tuple[str, QuerySet[Any], Combinable], ...] = (
    ("checkpoints", Checkpoint.objects.filter(deleted_at=None), F("size_bytes") + F("manifest_bytes")),
    ("working", Attempt.objects.all(), Coalesce("files_bytes", 0)),
    ("points", MetricFrame.objects.all(), Length("data")),
    ("points", MetricAxis.objects.all(), Length("data") + Length("bins")),
    ("points", MetricChunk.objects.all(), Length("data") + Length("bins")),
    ("logs", LogChunk.objects.all(), Length("data")),
    ("machine", SystemSample.objects.all(), Octets("values")),
    ("machine", RunResult.objects.all(), Octets("data")),
)
#: Of a project's own tables: (kind, table, path to the project, bytes of a row).
_OF_PROJECT: tuple[tuple[str, QuerySet[Any], str, Combinable], ...] = (
    ("uploads", Upload.objects.all(), "project", F("received_bytes")),
    ("code", ModelVersion.objects.all(), "model__project", Octets("code")),
    ("code", DatasetVersion.objects.all(), "dataset__project", Octets("code")),
    ("reports", ReportVersion.objects.all(), "report__project", Octets("body") + Octets("frozen")),
    ("reports", ShareLink.objects.exclude(snapshot=None), "project", Octets("snapshot")),
)


def of_projects(pks: list[int]) -> Sizes:
    """Bytes by kind of each of these projects. About 16 queries, whatever they hold."""
    return _with_own(_of_runs(pks, "project"), pks)


def of_project(pk: int) -> tuple[dict[str, int], Sizes]:
    """Of one project, and of each of its runs that holds any. About 18 queries."""
    of_run = of_runs(pk)
    sizes: Sizes = defaultdict(lambda: defaultdict(int))
    for of_one in of_run.values():
        for kind, size in of_one.items():
            sizes[pk][kind] += size
    return _with_own(sizes, [pk])[pk], of_run


def of_runs(project_pk: int) -> Sizes:
    """Bytes by kind of each run of a project that holds any. About 12 queries."""
    return _of_runs([project_pk], "run")


def in_database(run_pk: int, *, with_spec: bool = True) -> int:
    """Bytes of the values that the database holds of one run. Seven queries."""
    run = Run.objects.filter(pk=run_pk) if with_spec else Run.objects.none()
    size = run.aggregate(size=Sum(Octets("spec")))["size"] or 0
    for kind, rows, row_size in _OF_RUN:
        if not KINDS[kind].is_file:
            size += rows.filter(run=run_pk).order_by().aggregate(size=Sum(row_size))["size"] or 0
    return size


def of_studio() -> dict[str, int]:
    """Files on the disk by kind, each once, though several projects may name it. Equal to the sizes of the files."""
    found: dict[str, int] = defaultdict(int)
    for kind, rows, size in _OF_RUN:
        if KINDS[kind].is_file:
            found[kind] += rows.aggregate(total=Sum(size))["total"] or 0
    found["uploads"] = Upload.objects.aggregate(total=Sum("received_bytes"))["total"] or 0
    files = {digest: size for _, digest, size in dataset_files(None)}
    found["datasets"] = sum(files.values())
    media = Media.objects.values_list("sha256", "size_bytes").order_by().distinct()
    found["media"] = sum(size for digest, size in media.iterator() if digest not in files)
    return dict(found)


def dataset_files(project_pks: list[int] | None) -> Iterator[tuple[int, str, int]]:
    """(project, sha256, bytes) of each stored file of a dataset, once a project; of all projects for None. One query."""
    rows = DatasetVersion.objects.exclude(blobs={}).exclude(dataset__project=None)
    if project_pks is not None:
        rows = rows.filter(dataset__project__in=project_pks)
    seen = set()
    for project, *told in rows.order_by("pk").values_list("dataset__project_id", *OF_FILES):
        for digest, size in stored_sizes(*told).items():
            if (project, digest) not in seen:
                seen.add((project, digest))
                yield project, digest, size


def stored_sizes(files: dict[str, str], size: int, workbook_size: int | None, *in_place: Any) -> dict[str, int]:
    """Bytes of each stored file of a dataset version by its sha256, from OF_FILES; of one that stays in place none."""
    if any(in_place):
        return {}
    return {digest: (workbook_size or 0) if name == WORKBOOK else size for name, digest in files.items()}


def _with_own(sizes: Sizes, pks: list[int]) -> Sizes:
    """With what the projects themselves hold added."""
    for kind, rows, path, size in _OF_PROJECT:
        _add(sizes, kind, _summed(rows.filter(**{f"{path}__in": pks}), f"{path}_id", size))
    for pk, _, size_bytes in dataset_files(pks):
        sizes[pk]["datasets"] += size_bytes
    return sizes


def _of_runs(pks: list[int], group: Group) -> Sizes:
    sizes: Sizes = defaultdict(lambda: defaultdict(int))
    path = "run__project_id" if group == "project" else "run_id"
    for kind, rows, size in _OF_RUN:
        _add(sizes, kind, _summed(rows.filter(run__project__in=pks), path, size))
    own = "project_id" if group == "project" else "pk"
    _add(sizes, "code", _summed(Run.objects.filter(project__in=pks), own, Octets("spec")))
    for pk in pks:
        _add(sizes, "media", _media(pk, path))
    return sizes


def _media(project_pk: int, path: str) -> Iterator[tuple[int, int]]:
    """Each file once, for the row that came first; those that are a dataset's too are left to it."""
    of_project = Media.objects.filter(run__project=project_pk).order_by()
    first = of_project.values("sha256").annotate(first=Min("pk")).values("first")
    yield from _summed(Media.objects.filter(pk__in=first), path, F("size_bytes"))
    both = [digest for _, digest, _ in dataset_files([project_pk])]
    for at in range(0, len(both), 500):
        rows = Media.objects.filter(pk__in=first, sha256__in=both[at : at + 500])
        yield from ((key, -size) for key, size in _summed(rows, path, F("size_bytes")))


def _summed(rows: QuerySet[Any], path: str, size: Combinable) -> Iterator[tuple[int, int]]:
    found = rows.order_by().values_list(path).annotate(total=Sum(size, output_field=BigIntegerField()))
    yield from ((key, int(total or 0)) for key, total in found)


def _add(sizes: Sizes, kind: str, found: Iterator[tuple[int, int]]) -> None:
    for key, size in found:
        if size:
            sizes[key][kind] += size
