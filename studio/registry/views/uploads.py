"""Chunked uploads over HTTP: begin, PUT chunks at their offset, ask how far it is, cancel."""

from __future__ import annotations

import base64
import binascii
from typing import cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.registry.forms import BeginUploadForm
from studio.registry.models import Upload
from studio.registry.uploads import UploadError, begin_upload, drop_upload, receive_chunk


@require_POST
def upload_create(request: HttpRequest, project_pk: int) -> HttpResponse:
    """201 with the address for the chunks; the body is a form with filename, size_bytes and, if known, sha256."""
    project = get_for(request.user, Project.objects.all(), project_pk, Role.EDITOR)
    form = BeginUploadForm(request.POST)
    if not form.is_valid():
        return _refusal(UploadError("An upload needs a filename and size_bytes."))
    try:
        upload = begin_upload(project=project, user=cast(User, request.user), **form.cleaned_data)
    except UploadError as error:
        return _refusal(error)
    return _state(upload, status=201)


@require_http_methods(["GET", "PUT", "DELETE"])
def upload(request: HttpRequest, pk: str) -> HttpResponse:
    """PUT a chunk with the headers Upload-Offset and, if known, Content-Digest (RFC 9530): 200, or why not and where.

    409 names in `received` the byte to go on from; so does GET, after a cut connection or a reload.
    """
    found = get_for(request.user, Upload.objects.select_related("project"), pk, Role.EDITOR)
    if request.method == "DELETE":
        drop_upload(found)
        return HttpResponse(status=204)
    if request.method == "PUT":
        try:
            offset, digest = _offset(request), _digest(request)
            data = request.read(settings.UPLOAD_CHUNK_BYTES + 1)  # counted while read, whatever Content-Length says
            if len(data) > settings.UPLOAD_CHUNK_BYTES:
                text = f"A chunk has at most {settings.UPLOAD_CHUNK_BYTES:,} bytes."
                raise UploadError(text, status=413, received=found.received_bytes)
            receive_chunk(found, offset=offset, data=data, digest=digest)
        except UploadError as error:
            return _refusal(error)
    return _state(found)


def _state(upload: Upload, status: int = 200) -> JsonResponse:
    return JsonResponse(
        {
            "id": str(upload.pk),
            "url": reverse("upload", args=[upload.pk]),
            "received": upload.received_bytes,
            "size": upload.size_bytes,
            "finished": upload.finished_at is not None,
            "chunk": settings.UPLOAD_CHUNK_BYTES,
        },
        status=status,
    )


def _refusal(error: UploadError) -> JsonResponse:
    body = {"error": {"code": "upload", "message": error.text}, "received": error.received}
    return JsonResponse(body, status=error.status)


def _offset(request: HttpRequest) -> int:
    text = request.headers.get("Upload-Offset", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UploadError("The header Upload-Offset has to say at which byte the chunk begins.")
    return int(text)


def _digest(request: HttpRequest) -> str:
    """The sha256 of `Content-Digest: sha-256=:<base64>:` in hexadecimal; empty if there is none."""
    text = request.headers.get("Content-Digest", "").strip()
    if not text:
        return ""
    try:
        if not (text.startswith("sha-256=:") and text.endswith(":")):
            raise ValueError(text)
        return base64.b64decode(text[len("sha-256=:") : -1], validate=True).hex()
    except (ValueError, binascii.Error) as error:
        raise UploadError("The header Content-Digest has to be sha-256=:<base64>:, or left out.") from error
