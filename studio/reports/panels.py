"""What the panels of a report show, as plain data: the same for its page, a shared page and a file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from studio.accounts.models import Project, User
from studio.core import blobs
from studio.core.stores import StoreError
from studio.reports.blocks import Block
from studio.reports.curves import Read, charts_of, read
from studio.runs import checkpoints, facts
from studio.runs.compare.layers import rows_of
from studio.runs.directions import rises
from studio.runs.models import Run
from studio.runs.table.select import table_of
from studio.tracking.comparing import best_of, metrics_of, objective_of
from studio.tracking.models import Media

Data = dict[str, Any]
MOST_CHARTS, MOST_COLUMNS, MOST_CHOICES, MOST_IMAGE_BYTES, USUAL_RUNS = 6, 8, 30, 1 << 20, 20
NOT_SHOWN = ("packages", "hardware", "code")  # layers that tell of machines and programs
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")


class Missing(Exception):
    """What a panel is about is not there; the words take the panel's place."""


def data_of(project: Project, reader: User | None, block: Block, seen: set[int], read: Read = read) -> Data:
    """JSON for the panel's template; `seen` takes the ids of the runs that are shown. About nine queries a run.

    `reader` is whom words such as `by:me` of a filter mean; `read` gets the points of charts. What is missing is said under
    `error`.
    """
    try:
        title = {"title": block.given.get("title", "")}
        if block.kind == "chart":
            return {**title, **_chart(project, block.given, seen, read)}
        return {**title, **SHOWS[block.kind](project, reader, block.given, seen)}
    except Missing as missing:
        return {"title": block.given.get("title", ""), "error": str(missing)}


def _chart(project: Project, given: Any, seen: set[int], read: Read) -> Data:
    runs = _runs(project, given["runs"], seen)
    charts = charts_of(
        runs, given.get("metrics"), most=len(given["metrics"]) if "metrics" in given else MOST_CHARTS, read=read
    )
    if not charts:
        raise Missing("These runs have no such metrics.")
    return {"charts": charts}


def _table(project: Project, reader: User | None, given: Any, seen: set[int]) -> Data:
    runs = _runs(project, given["runs"], seen)
    data = _listed(runs, given.get("metrics"))
    if given.get("choices", True):
        rows = [row for row in rows_of(runs) if row.differs and row.layer not in NOT_SHOWN]
        data["choices"] = [[row.name, list(row.values)] for row in rows[:MOST_CHOICES]]
    return data


def _set(project: Project, reader: User | None, given: Any, seen: set[int]) -> Data:
    if reader is None:
        raise Missing("Who wrote this left, so its filter cannot be read any more.")
    table = table_of(project, reader, {"q": given.get("filter", ""), "sort": given.get("sort", "")})
    if table.error or table.notices:
        raise Missing(f"The filter cannot be read: {table.error.message if table.error else table.notices[0]}")
    ids = list(table.ordered().values_list("pk", flat=True)[: given.get("most", USUAL_RUNS)])
    found = {run.pk: run for run in Run.objects.filter(pk__in=ids).for_list()}
    seen.update(found)
    if not found:
        raise Missing("No run fits this filter.")
    return _listed([found[pk] for pk in ids if pk in found], given.get("metrics"))


def _listed(runs: Sequence[Run], metrics: Sequence[str] | None) -> Data:
    metric, up = objective_of(runs)
    names = list(metrics or [metric, *(name for name in metrics_of(runs) if name != metric)][:MOST_COLUMNS])
    names = [name for name in names if name]
    values = {n: [best_of(run, n, up if n == metric else rises(n)) for run in runs] for n in names}
    decides = names[0] if names else ""
    known = [v for v in values.get(decides, []) if v is not None]
    falls = not (up if decides == metric else rises(decides))
    return {
        "runs": [
            {"number": run.number, "name": run.name, "state": run.state, "seconds": facts.duration_s(run), "id": run.pk}
            for run in runs
        ],
        "columns": names,
        "rows": [[values[n][i] for n in names] for i in range(len(runs))],
        "best": values[decides].index((min if falls else max)(known)) if known else None,
    }


def _image(project: Project, reader: User | None, given: Any, seen: set[int]) -> Data:
    (run,) = _runs(project, [given["run"]], seen)
    rows = Media.objects.filter(run=run, key=given["key"], mime__in=PICTURES)
    found = (rows.filter(step=given["step"]) if "step" in given else rows).order_by("-seq").first()
    if found is None:
        raise Missing(f"Run #{run.number} logged no image {given['key']!r} at that step.")
    if found.size_bytes > MOST_IMAGE_BYTES:
        raise Missing(f"The image has {found.size_bytes >> 10:,} KB; a report takes up to {MOST_IMAGE_BYTES >> 10:,}.")
    try:
        content = blobs.bring(found.sha256).read_bytes()
    except (OSError, StoreError) as error:
        raise Missing("The file of this image is gone.") from error
    source = f"data:{found.mime};base64,{base64.b64encode(content).decode()}"
    return {"source": source, "words": found.caption or found.key, "step": found.step, "number": run.number}


def _checkpoint(project: Project, reader: User | None, given: Any, seen: set[int]) -> Data:
    (run,) = _runs(project, [given["run"]], seen)
    rows, which = run.checkpoints.usable(), given.get("step", "best")
    row = rows.filter(is_best=True).first() if which == "best" else None
    row = row or (rows.first() if which in ("best", "last") else rows.filter(step=which).first())
    if row is None:
        raise Missing(f"Run #{run.number} has no such checkpoint.")
    return {
        "number": run.number, "name": run.name, "step": row.step, "epoch": row.epoch, "size_bytes": row.size_bytes,
        "sha256": checkpoints.sha256_of(row), "best": row.is_best, "metrics": [[n, v] for n, v in row.metrics.items()][:10],
    }  # fmt: skip


def _runs(project: Project, numbers: Sequence[int], seen: set[int]) -> list[Run]:
    found = {run.number: run for run in Run.objects.filter(project=project, number__in=numbers).listed().for_list()}
    if absent := [f"#{number}" for number in numbers if number not in found]:
        raise Missing(f"There is no run {', '.join(absent)} in this project.")
    seen.update(run.pk for run in found.values())
    return [found[number] for number in numbers]


SHOWS = {"table": _table, "runs": _set, "image": _image, "checkpoint": _checkpoint}
