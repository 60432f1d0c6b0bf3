"""The page that says what changed between two runs, and its buttons that halve the question."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import can
from studio.accounts.models import Project, Role, User
from studio.runs.compare.layers import code_changes
from studio.runs.errors import RunError
from studio.runs.models import Run
from studio.tracking.bisect import choices_of, halved, halves_of
from studio.tracking.changed import changes, curves_part, earlier_of, last_good_of, parent_of, picture
from studio.tracking.compare_views import numbered, project_of, unknown_of
from studio.tracking.comparing import metrics_of, objective_of


@require_GET
def run_changed(request: HttpRequest, pk: int) -> HttpResponse:
    """`?a=12&b=15`: from one run to the other; without `a` from the parent of `b`, or the last good run before it."""
    project = project_of(request, pk)
    a, b = _pair(project, request.GET.get("a", ""), request.GET.get("b", ""))
    asked = [request.GET[name] for name in ("a", "b") if request.GET.get(name)]
    context: dict[str, Any] = {"project": project, "a": a, "b": b, "notices": unknown_of(project, ",".join(asked))}
    if a is None or b is None:
        return render(request, "tracking/changed_none.html", context)
    names = [name for name in metrics_of([a, b]) if name in a.summary and name in b.summary]
    metric = request.GET.get("metric", "")
    metric = metric if metric in names else objective_of([a, b])[0]
    parted = curves_part(a, b, metric) if metric in names else None
    found = changes(a, b, parted)
    context |= {
        "metric": metric,
        "metric_names": names,
        "parted": parted,
        "picture": picture(parted) if parted else None,
        "first": parted.x[0] if parted else None,
        "last": parted.x[-1] if parted else None,
        "changes": found,
        "halves": halves_of(found),
        "choices": choices_of(found),
        "codes": code_changes([a, b]),
        "may_edit": can(request.user, project, Role.EDITOR) and _can_cross(a, b),
        "others": _others(a, b),
    }
    return render(request, "tracking/changed.html", context)


@require_POST
def run_bisect(request: HttpRequest, pk: int) -> HttpResponse:
    """Start `b` once more with a part of `a`: `take` is one of those that the page offers."""
    project = project_of(request, pk, Role.EDITOR)
    a, b = _pair(project, request.POST.get("a", ""), request.POST.get("b", ""))
    if a is None or b is None or not _can_cross(a, b):
        messages.warning(request, "Both runs must be runs of this project that the studio itself executes.")
        return redirect("project", project.pk)
    back = f"{reverse('run-changed', args=[project.pk])}?{urlencode({'a': a.number, 'b': b.number})}"
    half = next((half for half in halves_of(changes(a, b, None)) if half.take == request.POST.get("take")), None)
    if half is None:
        messages.warning(request, "These two do not differ so. Choose one of the ways below, if there are any.")
        return redirect(back)
    try:
        made = halved(earlier=a, later=b, take=half.take, user=cast(User, request.user))
    except RunError as error:
        messages.warning(request, f"#{b.number} does not go with {half.words} of #{a.number}: {error}")
        return redirect(back)
    messages.success(request, f"#{made.number} waits in the queue: #{b.number} with {half.words} of #{a.number}.")
    return redirect("run", made.pk)


def _can_cross(a: Run, b: Run) -> bool:
    return all(run.model_version_id and run.dataset_version_id for run in (a, b))


def _others(a: Run, b: Run) -> list[tuple[str, Run]]:
    """With what else `b` is compared by a click."""
    found = [("its parent", parent_of(b)), ("the last good run before it", last_good_of(b))]
    return [(words, run) for words, run in found if run is not None and run.pk != a.pk]


def _pair(project: Project, a: str, b: str) -> tuple[Run | None, Run | None]:
    later = next(iter(numbered(project, b)), None)
    if a:
        return next(iter(numbered(project, a)), None), later
    return (earlier_of(later) if later else None), later
