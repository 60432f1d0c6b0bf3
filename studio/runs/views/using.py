"""Using a checkpoint: try it on something, and make the files by which others use it."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST, require_safe

from studio.accounts.access import can, get_for
from studio.accounts.models import Role, User
from studio.accounts.still import still_reads
from studio.core.download import stream_file
from studio.core.numbers import whole
from studio.runs import packs, preflight
from studio.runs.checkpoints import sha256_of
from studio.runs.downloads import source_of_made
from studio.runs.errors import RunError
from studio.runs.models import Checkpoint, CheckpointFile, Preflight
from studio.runs.try_forms import TryForm, initial_of

Kind = Preflight.Kind


@require_GET
def checkpoint_use(request: HttpRequest, pk: int) -> HttpResponse:
    """The form and its newest answer, and the files that were made of it."""
    found = _checkpoint(request, pk)
    schema, asked = _schema_of(found), _asked(request, found)
    form = TryForm(schema, initial=initial_of(schema, asked.given if asked else {})) if schema else None
    return _page(request, found, form, asked)


@require_POST
def checkpoint_ask(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a worker what the checkpoint predicts; at first, what it takes."""
    found = _checkpoint(request, pk, Role.EDITOR)
    schema = _schema_of(found)
    form = TryForm(schema, request.POST, request.FILES) if schema else None
    if form is not None and not form.is_valid():
        return _page(request, found, form, None, status=422)
    return _queued(request, found, form, Kind.TRY)


@require_POST
def checkpoint_export(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a worker for the share pack, safetensors and ONNX."""
    return _queued(request, _checkpoint(request, pk, Role.EDITOR), None, Kind.EXPORT)


@require_safe
def checkpoint_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A file that was made of a checkpoint, streamed; a range of it on request."""
    found = get_for(request.user, CheckpointFile.objects.select_related("checkpoint__run"), pk)
    still = still_reads(request, found)
    return stream_file(request, source_of_made(found), packs.file_name(found), sha256=found.sha256, still=still)


def _queued(request: HttpRequest, found: Checkpoint, form: TryForm | None, kind: Preflight.Kind) -> HttpResponse:
    given = form.given() if form is not None else {}
    try:
        asked = preflight.ask_about(checkpoint=found, user=cast(User, request.user), kind=kind, given=given)
    except RunError as error:
        return _page(request, found, form, None, refused=str(error), status=409)
    return redirect(f"{reverse('checkpoint-use', args=[found.pk])}?asked={asked.pk}")


def _checkpoint(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Checkpoint:
    rows = Checkpoint.objects.select_related("run__project__team", "run__model_version__model")
    return get_for(request.user, rows, pk, role)


def _schema_of(found: Checkpoint) -> dict[str, Any]:
    """What it takes, as the newest answer of a worker says it; empty when nobody asked lately. One query."""
    answers = Preflight.objects.filter(checkpoint=found, stage=Preflight.Stage.DONE)
    for result in answers.order_by("-pk").values_list("result", flat=True)[:1]:
        return dict(result.get("schema") or {})
    return {}


def _asked(request: HttpRequest, found: Checkpoint) -> Preflight | None:
    return Preflight.objects.filter(checkpoint=found, pk=whole(request.GET.get("asked")) or 0).first()


def _page(
    request: HttpRequest,
    found: Checkpoint,
    form: TryForm | None,
    asked: Preflight | None,
    *,
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    files = [] if found.deleted_at else list(found.made_files.all()[:10])
    context = {
        "project": found.run.project,
        "run": found.run,
        "checkpoint": found,
        "is_there": bool(sha256_of(found)),
        "form": form,
        "asked": asked,
        "waiting": preflight.waiting_words(asked.pool) if asked is not None and not asked.is_over else "",
        "files": files,
        "pack": next((file for file in files if file.kind == CheckpointFile.Kind.PACK), None),
        "refused": refused,
        "may_edit": can(request.user, found, Role.EDITOR),
    }
    return render(request, "runs/use.html", context, status=status)
