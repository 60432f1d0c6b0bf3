"""The workers that take runs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import WorkerOut
from studio.runs.models import Worker
from studio.runs.register import online

router = Router(tags=["workers"])


@router.get("/workers", response=Page[WorkerOut])
def list_workers(request: HttpRequest, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Those that were not shut down; `online` while their heartbeat is fresh."""
    page = page_of(Worker.objects.filter(stopped_at=None), limit, cursor)
    fresh = set(online().values_list("pk", flat=True))
    for worker in page["items"]:
        worker.online = worker.pk in fresh
    return page
