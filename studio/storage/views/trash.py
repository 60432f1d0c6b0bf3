"""The trash of a project: out of it again, or gone for good; and the way in for models and datasets."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, User
from studio.core.templatetags.studio import filesize
from studio.registry.models import Dataset, Model
from studio.storage import trash
from studio.storage.errors import StorageError

PAGE_SIZE = 50


@require_GET
def project_trash(request: HttpRequest, pk: int) -> HttpResponse:
    project = get_for(request.user, Project.objects.select_related("team"), pk)
    page = Paginator(trash.entries(project), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "days": trash.days_of(project),
        "may_edit": can(request.user, project, Role.EDITOR),
        "is_admin": can(request.user, project, Role.ADMIN),
    }
    return render(request, "storage/trash.html", context)


@require_POST
def trash_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Out of the trash: `kind` and `pk` name it."""
    project = get_for(request.user, Project.objects.all(), pk, Role.EDITOR)
    try:
        name = trash.restore(project=project, **_named(request), user=cast(User, request.user))
        messages.success(request, f"{name} is out of the trash.")
    except StorageError as error:
        messages.warning(request, str(error))
    return redirect("project-trash", project.pk)


@require_POST
def trash_purge(request: HttpRequest, pk: int) -> HttpResponse:
    """For good: `kind` and `pk` name it."""
    project = get_for(request.user, Project.objects.all(), pk, Role.ADMIN)
    user = cast(User, request.user)
    try:
        freed = trash.purge(project=project, **_named(request), why="out of the trash", by=user)
        words = f"Gone for good. The disk got back {filesize(freed.files_bytes)}"
        messages.success(request, f"{words}, the database {filesize(freed.database_bytes)}.")
    except StorageError as error:
        messages.warning(request, str(error))
    return redirect("project-trash", project.pk)


@require_POST
def model_trash(request: HttpRequest, pk: int) -> HttpResponse:
    return _move(request, get_for(request.user, Model.objects.select_related("project"), pk, Role.EDITOR))


@require_POST
def dataset_trash(request: HttpRequest, pk: int) -> HttpResponse:
    return _move(request, get_for(request.user, Dataset.objects.select_related("project"), pk, Role.EDITOR))


def _move(request: HttpRequest, entry: Model | Dataset) -> HttpResponse:
    """Into the trash, or with `restore` out of it; the page of the entry says where it is."""
    kind, user = str(entry._meta.model_name), cast(User, request.user)
    assert entry.project is not None  # built-in ones are changed by nobody
    try:
        if "restore" in request.POST:
            trash.restore(project=entry.project, kind=kind, pk=entry.pk, user=user)
        else:
            trash.move_entry(entry=entry, user=user)
    except StorageError as error:
        messages.warning(request, str(error))
    return redirect(kind, entry.pk)


def _named(request: HttpRequest) -> dict[str, Any]:
    """Which entry; one that no form of ours sends is none that is in the trash."""
    pk = request.POST.get("pk", "")
    return {"kind": request.POST.get("kind", "")[:10], "pk": int(pk) if pk.isdecimal() and len(pk) < 18 else 0}
