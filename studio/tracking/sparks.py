"""The small curves in a table of runs: few points of one metric for each of many runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.accounts.models import Project, User
from studio.runs.models import Attempt, Run
from studio.tracking import stored
from studio.tracking.columns import Floats, unpack
from studio.tracking.compact import name_hash
from studio.tracking.models import MetricAxis, MetricChunk, MetricFrame

MOST_RUNS, POINTS = 120, 32


@require_GET
def project_sparks(request: HttpRequest, pk: int) -> JsonResponse:
    """JSON `{"lines": [{"run", "metric", "values"}]}` for `?of=<run>:<metric>`, at most MOST_RUNS of them."""
    found = get_for(cast(User, request.user), Project.objects.all(), pk)
    wanted: dict[int, str] = {}
    for text in request.GET.getlist("of")[:MOST_RUNS]:
        run, _, metric = text.partition(":")
        if run.isdecimal() and len(run) < 18 and metric:
            wanted[int(run)] = metric
    mine = Run.objects.filter(project=found, pk__in=list(wanted)).values_list("pk", flat=True)
    lines = curves({run: wanted[run] for run in mine})
    return JsonResponse({"lines": [{"run": run, "metric": wanted[run], "values": v} for run, v in lines.items()]})


def curves(metrics: dict[int, str]) -> dict[int, list[float | None]]:
    """{run: at most POINTS values of its metric in order, None where not finite}. Five queries for all runs."""
    pks, names = list(metrics), sorted(set(metrics.values()))
    limits: dict[tuple[int, int], int] = {}
    for pk, fence, step in Attempt.objects.filter(run_id__in=pks, valid_to_step__isnull=False).values_list(
        "run_id", "fence", "valid_to_step"
    ):
        limits[pk, fence] = cast(int, step)
    parts: dict[int, list[tuple[int, Floats]]] = {pk: [] for pk in pks}
    frames = list(MetricFrame.objects.filter(run_id__in=pks).order_by("run_id", "seq"))
    oldest: dict[int, int] = {}
    for frame in frames:
        oldest.setdefault(frame.run_id, frame.seq)
    axes = MetricAxis.objects.filter(run_id__in=pks).order_by().defer("bins", "data")
    known = {axis.pk: axis for axis in axes if axis.seq1 < oldest.get(axis.run_id, axis.seq1 + 1)}
    rows = MetricChunk.objects.filter(run_id__in=pks, name_hash__in=[name_hash(name) for name in names], name__in=names)
    for column, some in (("bins", rows.exclude(bins=b"")), ("data", rows.filter(bins=b""))):
        for axis_pk, name, data in some.order_by().values_list("axis_id", "name", column):
            axis = known.get(axis_pk)
            if axis is not None and metrics[axis.run_id] == name:
                parts[axis.run_id].append((axis.seq0, _kept(axis, unpack(data, (0,))[0], column, limits)))
    for frame in frames:
        if metrics[frame.run_id] in frame.names:
            table = stored.table_of(frame)
            y = table[3 + frame.names.index(metrics[frame.run_id])]
            limit = limits.get((frame.run_id, frame.fence))
            parts[frame.run_id].append((frame.seq, y if limit is None else y[table[stored.STEPS] <= limit]))
    return {pk: _few(y for _, y in sorted(some, key=lambda part: part[0])) for pk, some in parts.items() if some}


def _kept(axis: MetricAxis, y: Floats, column: str, limits: dict[tuple[int, int], int]) -> Floats:
    """Without what a later attempt did again; costs a query for an axis that has some of it."""
    limit = limits.get((axis.run_id, axis.fence))
    if limit is None or axis.step1 <= limit:
        return y
    (steps,) = unpack(getattr(axis, column), (0,))
    return y[steps <= limit]


def _few(parts: Iterable[Floats]) -> list[float | None]:
    """Every so manieth value, the last one always."""
    y = np.concatenate(list(parts))
    if not y.size:
        return []
    at: Sequence[int] = np.unique(np.linspace(0, y.size - 1, POINTS).round().astype(int)).tolist()
    return [float(y[i]) if np.isfinite(y[i]) else None for i in at]
