"""The page that shows what changed between two versions of a model or a dataset."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.core.numbers import whole
from studio.registry.difference import file_differences, option_differences
from studio.registry.models import DatasetVersion, ModelVersion
from studio.registry.views.common import PAGE_SIZE, project_in_view


@require_GET
def model_version_diff(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, ModelVersion.objects.select_related("model__project__team"), pk)
    return _difference(request, found, found.model, "model")


@require_GET
def dataset_version_diff(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, DatasetVersion.objects.select_related("dataset__project__team"), pk)
    return _difference(request, found, found.dataset, "dataset")


def _difference(request: HttpRequest, new: Any, entry: Any, kind: str) -> HttpResponse:
    """Against the version numbered `?with=`, else the one before."""
    others = entry.versions.exclude(pk=new.pk)
    given = whole(request.GET.get("with"), 9)
    if given is not None:
        old = others.filter(number=given).first()
    else:
        old = others.filter(number__lt=new.number).first() or others.last()
    context = {"version": new, "old": old, kind: entry, "project": project_in_view(request, entry.project)}
    context |= {"others": others.defer("code", "params")[:PAGE_SIZE], "version_url": f"{kind}-version"}
    if old is not None:
        context |= {"files": file_differences(old, new), "changed_options": option_differences(old, new)}
    return render(request, "registry/version_diff.html", context)
