"""The folder of a run that trains it again without the studio: what goes into it, and the zip while it is made."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.still import still_reads
from studio.core.download import stream_parts
from studio.core.zipping import zipped
from studio.runs import folder
from studio.runs.errors import RunError
from studio.runs.views.runs import page_of, read


@require_GET
def run_folder(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog: data and weights in it or not. Leads to `run_folder_zip`."""
    found = read(request, pk)
    files = [] if found.is_external else folder.data_files(found)
    context = {
        **page_of(found, "overview"),
        "files": files,
        "data_bytes": sum(file.size_bytes for file in files if file.path is not None),
        "has_data": any(file.path is not None for file in files),
        "last": folder.last_weights(found),
    }
    return render(request, "runs/folder.html", context)


@require_GET
def run_folder_zip(request: HttpRequest, pk: int) -> HttpResponseBase:
    """`?data=1` and `?weights=1` say what goes in besides code, choices and the engine."""
    found = read(request, pk)
    try:
        entries = folder.entries(found, with_data="data" in request.GET, with_weights="weights" in request.GET)
    except RunError as error:
        context = {**page_of(found, "overview"), "refused": str(error)}
        return render(request, "runs/folder.html", context, status=409)
    return stream_parts(
        zipped(entries), f"{folder.folder_name(found)}.zip", "application/zip", still=still_reads(request, found)
    )
