"""What a run made: its metrics, its log, its checkpoints."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Field, Query, Router, Schema

from studio.accounts.access import get_for
from studio.accounts.models import Project
from studio.accounts.still import still_reads
from studio.api.auth import user_of
from studio.api.errors import ApiError
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Given
from studio.api.schemas_runs import CheckpointOut
from studio.core.download import safe_name, stream_file, stream_parts
from studio.core.stored_files import StoredFile
from studio.core.zipping import zipped
from studio.runs import folder
from studio.runs.downloads import source_of
from studio.runs.models import Checkpoint, Run
from studio.tracking.chart_data import etag_of
from studio.tracking.export import Form, stream_points
from studio.tracking.logs import read_log, whole_log
from studio.tracking.query import Axis, series
from studio.tracking.results import results_of, why_none
from studio.tracking.stored import visible_blocks
from studio.tracking.system import charts_of

router = Router(tags=["outputs"])
MOST_POINTS = 50_000
MOST_LOG_BYTES = 1 << 20
Number = float | str | None  # NaN, Infinity and -Infinity are strings: JSON has no such numbers
Metric = Annotated[str, Field(min_length=1, max_length=500)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class SeriesWanted(Given):
    metric: list[Metric] = Field(default_factory=list, max_length=100, description="All of them when none is named.")
    x: Axis = "step"
    lo: float | None = None
    hi: float | None = None
    width: int = Field(1500, ge=16, le=4000, description="About how many points are drawn.")


class SeriesOut(Schema):
    run: int
    cursor: int
    series: list[dict[str, Any]]


class PointsOut(Schema):
    steps: list[float]
    values: list[Number]
    next: int | None


class LogOut(Schema):
    attempt: int
    text: str
    offset: int
    end: int
    size: int


@router.get("/runs/{pk}/series", response=SeriesOut)
def read_series(request: HttpRequest, response: HttpResponse, pk: int, wanted: Query[SeriesWanted]) -> Any:
    """As charts draw it: raw while the points are few, else deterministic bins with least, greatest and last value.

    The `ETag` stays the same while there is no new point; sent back as `If-None-Match` it is answered by 304.
    """
    run = get_for(user_of(request), Run.objects.defer("summary"), pk)
    etag = etag_of([run.pk], request.META.get("QUERY_STRING", ""))
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers={"ETag": etag})
    response["ETag"] = etag
    return series([run.pk], wanted.metric or None, wanted.x, wanted.lo, wanted.hi, wanted.width)["runs"][0]


@router.get("/runs/{pk}/points", response=PointsOut)
def read_points(
    request: HttpRequest,
    pk: int,
    metric: Metric,
    skip: Count = 0,
    limit: Annotated[int, Field(ge=1, le=MOST_POINTS)] = 10_000,
) -> dict[str, Any]:
    """Every point of a metric on the surviving line of attempts; `next` is the `skip` of the page after."""
    run = get_for(user_of(request), Run.objects.all(), pk)
    steps: list[float] = []
    values: list[float] = []
    seen = 0
    for block in visible_blocks(run.pk, metrics=[metric]):
        if metric not in block.names:
            continue
        first, seen = max(skip - seen, 0), seen + len(block)
        if first < len(block):
            column = block.values[block.names.index(metric)]
            steps.extend(block.steps[first:])
            values.extend(column[first:])
        if len(steps) > limit:
            break
    more = len(steps) > limit
    return {"steps": steps[:limit], "values": values[:limit], "next": skip + limit if more else None}


class PointsWanted(Given):
    metric: list[Metric] = Field(default_factory=list, max_length=100, description="All of them when none is named.")
    abandoned: bool = Field(False, description="Also the points that a later attempt did again.")


class RunsWanted(PointsWanted):
    run: list[Count] = Field(default_factory=list, max_length=1000, description="Numbers; all runs when none is named.")


@router.get("/runs/{pk}/metrics/{form}")
def download_metrics(request: HttpRequest, pk: int, form: Form, wanted: Query[PointsWanted]) -> HttpResponseBase:
    """All points as a file, a row a point: run, attempt, step, epoch, time, metric, value; values exactly."""
    run = get_for(user_of(request), Run.objects.all(), pk)
    still = still_reads(request, run)
    return stream_points([run], form, f"run-{run.number}-metrics", still=still, **_only(wanted))


@router.get("/projects/{pk}/metrics/{form}")
def download_project_metrics(request: HttpRequest, pk: int, form: Form, wanted: Query[RunsWanted]) -> HttpResponseBase:
    """The same of the runs of a project."""
    project = get_for(user_of(request), Project.objects, pk)
    runs = Run.objects.to_export(project, wanted.run)
    still = still_reads(request, project)
    return stream_points(runs, form, f"{project.name}-metrics", still=still, **_only(wanted))


def _only(wanted: PointsWanted) -> dict[str, Any]:
    return {"metrics": wanted.metric or None, "abandoned": wanted.abandoned}


@router.get("/runs/{pk}/folder")
def download_folder(request: HttpRequest, pk: int, data: bool = True, weights: bool = True) -> HttpResponseBase:
    """A zip that trains the run again without the studio and says whether the weights are the same: see its README.md."""
    run = get_for(user_of(request), Run.objects.for_list(), pk)
    entries = folder.entries(run, with_data=data, with_weights=weights)
    return stream_parts(
        zipped(entries), f"{folder.folder_name(run)}.zip", "application/zip", still=still_reads(request, run)
    )


class SystemOut(Schema):
    attempt: int
    charts: list[dict[str, Any]]


@router.get("/runs/{pk}/system", response=SystemOut)
def read_system(request: HttpRequest, pk: int, attempt: Count | None = None) -> dict[str, Any]:
    """What an attempt (the newest without a number) and its machine took: processors, memory, disk, network, GPUs.

    `x` are seconds of the attempt. Many samples become bins: `last` is their mean, `min` and `max` keep every peak.
    """
    run = get_for(user_of(request), Run.objects.all(), pk)
    fence = attempt or run.fence
    return {"attempt": fence, "charts": charts_of(run.pk, fence)}


class ResultsOut(Schema):
    task: str | None
    reason: str
    attempt: int | None
    checkpoint: str | None
    data: dict[str, Any]


@router.get("/runs/{pk}/results", response=ResultsOut)
def read_results(request: HttpRequest, pk: int) -> dict[str, Any]:
    """What the best checkpoint gets right and wrong on the validation split; without a task, `reason` says why not.

    classification: confusion (rows are true, columns predicted), per_class precision, recall, f1 and support, confused
    pairs [true, predicted, count], worst examples. regression: r2, mae, rmse, points, residuals, worst examples.
    """
    run = get_for(user_of(request), Run.objects.all(), pk)
    result = results_of(run)
    return {
        "task": result.task or None if result else None,
        "reason": why_none(run, result),
        "attempt": result.fence if result else None,
        "checkpoint": result.checkpoint or None if result else None,
        "data": result.data if result else {},
    }


@router.get("/runs/{pk}/log", response=LogOut)
def read_log_piece(
    request: HttpRequest,
    pk: int,
    attempt: Count | None = None,
    offset: Count | None = None,
    limit: Annotated[int, Field(ge=1, le=MOST_LOG_BYTES)] = 256_000,
) -> dict[str, Any]:
    """What an attempt printed, the newest one's newest part unless said otherwise; offsets count bytes."""
    run = get_for(user_of(request), Run.objects.all(), pk)
    piece = read_log(run.pk, attempt, offset, limit)
    return {"attempt": piece.fence, "text": piece.text, "offset": piece.offset, "end": piece.end, "size": piece.size}


@router.get("/runs/{pk}/log/text")
def read_log_text(request: HttpRequest, pk: int, attempt: Count | None = None) -> HttpResponse:
    """All that is kept of an attempt's output, as plain text; at most 11 MB are."""
    run = get_for(user_of(request), Run.objects.all(), pk)
    data = b"".join(whole_log(run.pk, run.fence if attempt is None else attempt))
    return HttpResponse(data, content_type="text/plain; charset=utf-8")


@router.get("/runs/{pk}/checkpoints", response=Page[CheckpointOut])
def list_checkpoints(request: HttpRequest, pk: int, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Those that can be downloaded, the newest first."""
    run = get_for(user_of(request), Run.objects.all(), pk)
    return page_of(run.checkpoints.filter(superseded=False, deleted_at=None), limit, cursor)


@router.api_operation(["HEAD"], "/checkpoints/{pk}/download", include_in_schema=False)
@router.get("/checkpoints/{pk}/download")
def download_checkpoint(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file, in ranges if wanted. Repr-Digest has its sha256; `torch.load(…, weights_only=True)` reads it."""
    checkpoint = get_for(user_of(request), Checkpoint.objects.select_related("run"), pk)
    filename = safe_name(f"{checkpoint.run.name}-{checkpoint.run.number}-step-{checkpoint.step}.ckpt")
    source, still = source_of(checkpoint), still_reads(request, checkpoint)
    digest = source.sha256 if isinstance(source, StoredFile) else _digest(checkpoint, source)
    return stream_file(request, source, filename, sha256=digest, still=still)


def _digest(checkpoint: Checkpoint, path: Path) -> str:
    """The sha256 of the file by its manifest, which is the one that was committed."""
    try:
        manifest = path.with_name("manifest.json").read_bytes()
        if hashlib.sha256(manifest).hexdigest() != checkpoint.manifest_sha256:
            raise ValueError
        digest: str = json.loads(manifest)["files"][path.name]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ApiError(410, "gone", "The files of this checkpoint are no longer there, or are damaged.") from error
    return digest
