"""Pages on which members of a team make links for people without an account, and take them back."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.access import can, get_for
from studio.accounts.models import Project, Role, User
from studio.reports import left_links, sharing
from studio.reports.embedding import snippet
from studio.reports.errors import ShareError
from studio.reports.forms import ShareForm
from studio.reports.models import Report, ShareLink
from studio.runs.models import Checkpoint, Run
from studio.tracking.compare_views import numbered

PAGE_SIZE = 50


@require_GET
def share_links(request: HttpRequest, pk: int) -> HttpResponse:
    """The links of a project, the newest first; `?left=1` those open ones alone whose maker may not share any more."""
    project = get_for(request.user, Project.objects.select_related("team"), pk)
    rows = ShareLink.objects.filter(project=project).defer("snapshot")
    rows = rows.select_related("run", "checkpoint__run", "report", "created_by", "revoked_by")
    administers = can(request.user, project, Role.ADMIN)
    behind = set(rows.left_behind().values_list("pk", flat=True)) if administers else set()
    if only_left := administers and "left" in request.GET:
        rows = rows.filter(pk__in=behind)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "page": page,
        "left": len(behind),
        "only_left": only_left,
        "whys": left_links.whys([link for link in page if link.pk in behind], project.team) if behind else {},
        "may_edit": can(request.user, project, Role.EDITOR),
        "now": timezone.now(),
    }
    return render(request, "reports/links.html", context)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def share_create(request: HttpRequest, pk: int) -> HttpResponse:
    """`?run=7`, `?checkpoint=7`, `?report=7` (ids) or `?runs=12,14` (numbers of a comparison). The new link is shown this once."""
    project = get_for(request.user, Project.objects.select_related("team"), pk, Role.EDITOR)
    kind, target = _target(project, request.GET)
    form = ShareForm(kind, request.POST or None)
    context: dict[str, Any] = {
        "project": project,
        "kind": kind,
        "target": target,
        "form": form,
        "url": "",
        "status": 200,
    }
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            link, token = sharing.share(
                target=target,
                by=cast(User, request.user),
                project=project,
                title=given["title"],
                days=given["days"],
                password=given["password"],
                frozen=given.get("freeze") == "frozen",
                parts=form.parts(),
                embed_on=given["embed_on"],
            )
            context |= {"link": link, "url": settings.PUBLIC_URL + reverse("shared", args=[token])}
            if link.embed_on:
                address = settings.PUBLIC_URL + reverse("shared-embed", args=[token])
                context["snippet"] = snippet(address, link.title or f"Shared {link.get_kind_display()}")
        except ShareError as error:
            form.add_error(None, str(error))
    status = 400 if form.errors else 200
    return render(request, "reports/share.html", context, status=status)


@require_POST
def share_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_for(request.user, ShareLink.objects.select_related("project"), pk, Role.EDITOR)
    if sharing.revoke(link=found, by=cast(User, request.user)):
        messages.success(request, "The link is taken back: it opens nothing any more.")
    return redirect("share-links", found.project_id)


@require_POST
def share_take_over(request: HttpRequest, pk: int) -> HttpResponse:
    """An administrator vouches for a link whose maker may not share any more."""
    found = get_for(request.user, ShareLink.objects.select_related("project", "created_by"), pk, Role.ADMIN)
    if left_links.take_over(link=found, by=cast(User, request.user)):
        messages.success(request, "The link is yours now: it stays open as long as it was meant to.")
    else:
        messages.warning(request, "The link does not open any more.")
    return redirect("share-links", found.project_id)


def _target(project: Project, query: QueryDict) -> tuple[str, Any]:
    """What of the project the address names; Http404 when there is no such thing."""
    if "runs" in query:
        runs = numbered(project, query.get("runs", ""))
        if len(runs) < 2:
            raise Http404
        return ShareLink.Kind.COMPARISON, runs
    found: Any = None
    for kind, rows in (
        (ShareLink.Kind.REPORT, Report.objects.filter(project=project)),
        (ShareLink.Kind.RUN, Run.objects.filter(project=project).listed()),
        (
            ShareLink.Kind.CHECKPOINT,
            Checkpoint.objects.filter(run__project=project, deleted_at=None).select_related("run"),
        ),
    ):
        text = query.get(kind, "")
        if text.isascii() and text.isdigit() and len(text) < 19:
            found = rows.filter(pk=int(text)).first()
            break
    if found is None:
        raise Http404
    return kind, found
