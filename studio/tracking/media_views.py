"""The media of a run: their page, what it asks for by its cursor, and the files themselves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, cast

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.accounts.models import User
from studio.accounts.still import still_reads
from studio.core import blobs
from studio.core.download import safe_name, stream_file
from studio.runs.models import Run
from studio.tracking.media import IMAGES, JSON, SOUNDS, keys_of, line_of, visible_media
from studio.tracking.models import Media

A_PAGE, AN_ANSWER = 50, 1000
ENDINGS = {JSON: "json", "text/plain": "txt", "image/jpeg": "jpg", "audio/mpeg": "mp3"}
ITEM = (
    "seq", "kind", "key", "step", "at_step", "epoch", "logged_at_s", "fence", "mime", "size_bytes", "caption", "meta",
)  # fmt: skip


def _run(request: HttpRequest, pk: int) -> Run:
    return get_for(cast(User, request.user), Run.objects.for_list(), pk)


@require_GET
def run_media(request: HttpRequest, pk: int) -> HttpResponse:
    """Keys by name, A_PAGE of them, each with the newest of it; `?q=` for those whose name has these words."""
    run = _run(request, pk)
    words = request.GET.get("q", "").strip()[:200]
    page = Paginator(keys_of(run.pk, words), A_PAGE).get_page(request.GET.get("page"))
    newest = Media.objects.filter(run_id=run.pk, seq__in=[row["newest"] for row in page])
    rows = {media.seq: media for media in newest}
    panels = [{**row, "media": rows[row["newest"]]} for row in page]
    context = {"run": run, "project": run.project, "tab": "media", "page": page, "panels": panels, "words": words}
    return render(request, "tracking/media.html", {**context, "images": IMAGES, "sounds": SOUNDS})


@require_GET
def run_media_items(request: HttpRequest, pk: int) -> JsonResponse:
    """JSON `{"items", "cursor", "more", "line"}`: what is numbered after `?after=`, at most AN_ANSWER of it.

    Another `line` than before means that a resume abandoned some of what was asked for earlier: ask again from 0.
    """
    run = _run(request, pk)
    after = request.GET.get("after", "0")
    if not after.isascii() or not after.isdigit() or len(after) > 18:
        message = f"after: got {after[:40]!r}, allowed is a whole number from 0, the cursor of an earlier answer."
        return JsonResponse({"error": {"code": "bad_request", "message": message}}, status=400)
    items = list(visible_media(run.pk).filter(seq__gt=int(after)).values(*ITEM)[: AN_ANSWER + 1])
    more, items = len(items) > AN_ANSWER, items[:AN_ANSWER]
    cursor = items[-1]["seq"] if items else int(after)
    found = {"items": items, "cursor": cursor, "more": more, "line": line_of(run.pk)}
    response = JsonResponse(found)
    response["Cache-Control"] = "no-store"
    return response


@require_GET
def run_media_file(request: HttpRequest, pk: int, seq: int) -> HttpResponseBase:
    """The bytes of one, as their own type; a table as CSV with `?csv=1`, anything as a download with `?download=1`."""
    run = _run(request, pk)
    media = Media.objects.filter(run_id=run.pk, seq=seq).first()
    if media is None:
        raise Http404
    name = f"{media.key[-100:]}-step-{media.step}"
    if request.GET.get("csv") and media.kind == "table":
        try:
            table = json.loads(blobs.bring(media.sha256).read_bytes())
        except OSError as error:
            raise Http404 from error
        response = StreamingHttpResponse(_csv_lines(table), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="run-{run.number}-table-{seq}.csv"'
        response["X-Content-Type-Options"] = "nosniff"
        return response
    ending = ENDINGS.get(media.mime) or media.mime.partition("/")[2]
    shown_as = "" if request.GET.get("download") else media.mime
    shown_as += "; charset=utf-8" if shown_as.startswith("text/") else ""
    return stream_file(
        request,
        blobs.source(media.sha256),
        safe_name(f"{name}.{ending}"),
        sha256=media.sha256,
        shown_as=shown_as,
        still=still_reads(request, run),
    )


def _csv_lines(table: dict[str, Any]) -> Iterator[str]:
    rows = table.get("rows")
    for row in [table.get("columns"), *(rows if isinstance(rows, list) else [])]:
        buffer = io.StringIO()
        csv.writer(buffer).writerow(_cell(value) for value in (row if isinstance(row, list) else [row]))
        yield buffer.getvalue()


def _cell(value: Any) -> Any:
    """Words that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value
