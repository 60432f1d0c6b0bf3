"""What people order: cancel, pause, save, resume, run again, more seeds. Each is a button that works without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from studio.accounts.models import Role, User
from studio.runs.cancel import request_cancel, request_pause, request_resume, request_save
from studio.runs.errors import RunError
from studio.runs.models import Run
from studio.runs.submit import more_seeds, rerun
from studio.runs.views.runs import read

MOST_ALSO = 5


@require_POST
def run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    return _order(request, pk, request_cancel)


@require_POST
def run_pause(request: HttpRequest, pk: int) -> HttpResponse:
    return _order(request, pk, request_pause)


@require_POST
def run_save(request: HttpRequest, pk: int) -> HttpResponse:
    return _order(request, pk, request_save)


@require_POST
def run_resume(request: HttpRequest, pk: int) -> HttpResponse:
    return _order(request, pk, request_resume)


@require_POST
def run_rerun(request: HttpRequest, pk: int) -> HttpResponse:
    """The same specification again; a form that was sent twice makes one run."""
    found = read(request, pk, Role.EDITOR)
    key = request.POST.get("key", "")[:64] or None
    try:
        return redirect("run", rerun(run=found, user=cast(User, request.user), idempotency_key=key).pk)
    except RunError as error:
        messages.warning(request, str(error))
        return redirect("run", found.pk)


@require_POST
def run_seeds(request: HttpRequest, pk: int) -> HttpResponse:
    """The same three times more, each with a seed of its own; also of the runs `also`.

    Back to the list, or with `compare`, the numbers of a comparison, to that one with the new runs in it.
    """
    found = read(request, pk, Role.EDITOR)
    also = [int(key) for key in request.POST.getlist("also")[:MOST_ALSO] if key.isdecimal() and len(key) < 18]
    runs = [found, *(read(request, key, Role.EDITOR) for key in also)]
    made: list[Run] = []
    for run in runs:
        try:
            made += more_seeds(run=run, user=cast(User, request.user))
        except RunError as error:
            messages.warning(request, str(error))
    if not made:
        return redirect("run", found.pk)
    numbers = [str(run.number) for run in made]
    names = ", ".join(f"#{number}" for number in numbers)
    messages.success(request, f"{names} wait in the queue: the same choices, each with another seed.")
    compared = [part for part in request.POST.get("compare", "")[:1000].split(",") if part.isdecimal()]
    if not compared:
        return redirect("project", found.project_id)
    query = urlencode({"runs": ",".join([*compared, *numbers])}, safe=",")
    return redirect(f"{reverse('run-compare', args=[found.project_id])}?{query}")


def _order(request: HttpRequest, pk: int, order: Callable[..., Run]) -> HttpResponse:
    found = read(request, pk, Role.EDITOR)
    try:
        order(run=found, user=cast(User, request.user))
    except RunError as error:
        messages.warning(request, str(error))
    return redirect("run", found.pk)
