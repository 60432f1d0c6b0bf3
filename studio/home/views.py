"""The first page: the way to a first run, then what runs, ran and works. It needs all apps, so it stands above them."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from studio.accounts.models import Project, User
from studio.home.search import MOST_LETTERS, Group, find
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs.models import Run
from studio.runs.register import online

MOST_RUNS, MOST_PROJECTS, MOST_WORKERS = 10, 12, 50
EXAMPLE_MODEL, EXAMPLE_DATASET = "ImageCNN", "Digits"  # classes of the zoo


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    runs = list(Run.objects.listed().visible_to(user).for_list().order_by("-created_at", "-pk")[:MOST_RUNS])
    projects = list(Project.objects.visible_to(user).active().select_related("team")[:MOST_PROJECTS])
    held = Run.objects.held().filter(worker=OuterRef("pk"))
    workers = online().annotate(is_busy=Exists(held))
    start_in = _first_project_to_start_in(user)
    context = {
        "runs": runs,
        "projects": projects,
        "workers": workers[:MOST_WORKERS],
        "start_in": start_in,
        "example_url": example_url(start_in) if start_in and not runs else None,
    }
    return render(request, "home/home.html", context)


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What the palette finds, as a page: for who has no JavaScript, and to send to somebody."""
    text, here, groups = _found(request)
    context = {"text": text, "project": here, "groups": groups, "most_letters": MOST_LETTERS}
    return render(request, "home/search.html", context)


@require_GET
def search_items(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"groups": [asdict(group) for group in _found(request)[2]]})


def _found(request: HttpRequest) -> tuple[str, Project | None, list[Group]]:
    """The words, the project of `?project=` if it is one of the user's, and what is found."""
    user, number = cast(User, request.user), request.GET.get("project", "")
    text = request.GET.get("q", "").strip()[:MOST_LETTERS]
    known = number.isascii() and number.isdigit() and len(number) < 19
    here = Project.objects.visible_to(user).select_related("team").filter(pk=number).first() if known else None
    return text, here, find(user, text, here)


def example_url(project: Project) -> str | None:
    """The form of a new run with the built-in digits chosen; None while they are not registered."""
    model = ModelVersion.objects.filter(model__project=None, ref=EXAMPLE_MODEL).ready().first()
    dataset = DatasetVersion.objects.filter(dataset__project=None, ref=EXAMPLE_DATASET).ready().first()
    if model is None or dataset is None:
        return None
    query = urlencode({"model": model.pk, "dataset": dataset.pk})
    return f"{reverse('run-create', args=[project.pk])}?{query}"


def _first_project_to_start_in(user: User) -> Project | None:
    return Project.objects.editable_by(user).active().order_by("pk").first()
