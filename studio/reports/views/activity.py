"""The page of what happened in a project."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from studio.accounts.access import get_for
from studio.accounts.models import Project
from studio.reports import feed

PAGE_SIZE = 50


@require_GET
def project_activity(request: HttpRequest, pk: int) -> HttpResponse:
    """`?before=` a moment (ISO 8601) shows what was earlier."""
    found = get_for(request.user, Project.objects.select_related("team"), pk)
    try:
        before = parse_datetime(request.GET.get("before", ""))
    except ValueError:
        before = None
    if before is not None and before.tzinfo is None:
        before = None
    shown = feed.entries(found, before, PAGE_SIZE + 1)
    context = {"project": found, "entries": shown[:PAGE_SIZE], "earlier": before is not None}
    context["older"] = shown[PAGE_SIZE - 1].at.isoformat() if len(shown) > PAGE_SIZE else ""
    return render(request, "reports/activity.html", context)
