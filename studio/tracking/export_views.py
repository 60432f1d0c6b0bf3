"""Downloads of all points, of a run or of a project."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.accounts.models import Project, User
from studio.accounts.still import still_reads
from studio.core.numbers import whole
from studio.runs.models import Run
from studio.tracking.export import FORMS, stream_points

MOST_RUNS = 1000


@require_GET
def run_metrics(request: HttpRequest, pk: int, form: str) -> HttpResponseBase:
    """Every visible point as a file, see `tracking.export`; with `?abandoned=1` also those that were done again."""
    run = get_for(cast(User, request.user), Run.objects.defer("spec", "summary"), pk)
    return _exported(request, run, [run], form, f"run-{run.number}-metrics")


@require_GET
def project_metrics(request: HttpRequest, pk: int, form: str) -> HttpResponseBase:
    """The same of all runs of a project, or of those that `?run=1&run=2` names by their numbers."""
    project = get_for(cast(User, request.user), Project.objects, pk)
    given = (whole(text, 9) for text in request.GET.getlist("run")[:MOST_RUNS])
    numbers = [number for number in given if number is not None]
    return _exported(request, project, Run.objects.to_export(project, numbers), form, f"{project.name}-metrics")


def _exported(request: HttpRequest, of: Run | Project, runs: Iterable[Run], form: str, name: str) -> HttpResponseBase:
    if form not in FORMS:
        raise Http404
    return stream_points(
        runs,
        form,
        name,
        still=still_reads(request, of),
        metrics=request.GET.getlist("metric") or None,
        abandoned=bool(request.GET.get("abandoned")),
    )
