"""Pages of reports: the list, one of them with its comments, writing, versions, the file."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from studio.accounts.access import can, get_for, readers_of
from studio.accounts.models import Project, Role, User
from studio.core.download import safe_name
from studio.reports import comments, export, writing
from studio.reports.blocks import parse
from studio.reports.errors import ReportError, ReviewError, StaleReport
from studio.reports.forms import BlockCommentForm, ReportForm
from studio.reports.models import Comment, Report, ReportVersion
from studio.tracking.compare_views import numbered

PAGE_SIZE, MOST_COMMENTS, MOST_LINES = 50, 1000, 2000


@require_GET
def report_list(request: HttpRequest, pk: int) -> HttpResponse:
    project = get_for(request.user, Project.objects.select_related("team"), pk)
    rows = Report.objects.filter(project=project).select_related("created_by")
    context = {"project": project, "page": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))}
    context["may_edit"] = can(request.user, project, Role.EDITOR)
    return render(request, "reports/report_list.html", context)


@require_http_methods(["GET", "POST"])
def report_create(request: HttpRequest, pk: int) -> HttpResponse:
    """`?runs=12,14` (numbers) begins with a text about these runs."""
    project = get_for(request.user, Project.objects.select_related("team"), pk, Role.EDITOR)
    if request.method == "GET":
        title, body = writing.template_for(numbered(project, request.GET.get("runs", "")))
        return _form(request, project, None, ReportForm(initial={"title": title, "body": body}))
    form = ReportForm(request.POST)
    if form.is_valid():
        if "preview" in request.POST:
            return _preview(request, project, None, form)
        given = form.cleaned_data
        try:
            made = writing.create(
                project=project, by=cast(User, request.user), title=given["title"], body=given["body"]
            )
            return redirect("report", made.pk)
        except ReportError as error:
            form.add_error("body", error.wrong)
    return _form(request, project, None, form, status=400)


@require_GET
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """`?version=` shows an earlier one, without the comments."""
    return _page(request, _report(request, pk))


@require_http_methods(["GET", "POST"])
def report_edit(request: HttpRequest, pk: int) -> HttpResponse:
    found = _report(request, pk, Role.EDITOR)
    newest = writing.version_of(found)
    if request.method == "GET":
        initial = {"title": newest.title, "body": newest.body, "base": newest.number}
        return _form(request, found.project, found, ReportForm(initial=initial))
    form, status = ReportForm(request.POST), 400
    if form.is_valid():
        if "preview" in request.POST:
            return _preview(request, found.project, found, form)
        given = form.cleaned_data
        try:
            writing.save(report=found, by=cast(User, request.user), **given)
            return redirect("report", found.pk)
        except ReportError as error:
            form.add_error("body", error.wrong)
        except StaleReport:
            newest, status = writing.version_of(_report(request, pk)), 409
            form = ReportForm({**request.POST.dict(), "base": newest.number})
            return _form(request, found.project, found, form, status=status, newer=newest, base=given["base"])
    return _form(request, found.project, found, form, status=status)


@require_GET
def report_versions(request: HttpRequest, pk: int) -> HttpResponse:
    """All versions; `?from=2&to=5` also what changed from one to the other."""
    found = _report(request, pk)
    rows = found.versions.select_related("author").defer("body", "frozen")
    context: dict[str, Any] = {"report": found, "project": found.project}
    context["page"] = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    if "from" in request.GET or "to" in request.GET:
        before, after = _version(found, request.GET.get("from")), _version(found, request.GET.get("to"))
        lines = writing.difference(before.body, after.body)
        context |= {"before": before, "after": after, "lines": lines[:MOST_LINES], "is_cut": len(lines) > MOST_LINES}
    return render(request, "reports/report_versions.html", context)


@require_POST
def report_publish(request: HttpRequest, pk: int) -> HttpResponse:
    """With `draft` it becomes a draft again."""
    found = _report(request, pk, Role.EDITOR)
    url = reverse("report", args=[found.pk])
    writing.publish(report=found, by=cast(User, request.user), draft="draft" in request.POST, url=url)
    return redirect(url)


@require_POST
def report_delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = _report(request, pk, Role.EDITOR)
    writing.delete(report=found, by=cast(User, request.user))
    messages.success(request, f"The report {found} is deleted.")
    return redirect("report-list", found.project_id)


@require_GET
def report_export(request: HttpRequest, pk: int) -> HttpResponse:
    """One HTML file with everything in it."""
    found = _report(request, pk)
    content = export.html_of(found.project, writing.version_of(found))
    response = HttpResponse(content, content_type="text/html; charset=utf-8")
    name = content_disposition_header(True, f"{safe_name(found.title)}.html")
    response.headers["Content-Disposition"] = name or "attachment"
    response.headers["Cache-Control"] = "no-store"
    return response


@require_POST
def report_comment(request: HttpRequest, pk: int) -> HttpResponse:
    found = _report(request, pk)
    form = BlockCommentForm(request.POST, comments=Comment.objects.filter(report=found, deleted_at=None))
    if not form.is_valid():
        return _page(request, found, form=form, status=400)
    try:
        made = comments.comment(report=found, author=cast(User, request.user), **form.cleaned_data)
    except ReviewError as error:
        form.add_error("text", str(error))
        return _page(request, found, form=form, status=400)
    return redirect(comments.address(made))


def _report(request: HttpRequest, pk: int, role: Role = Role.VIEWER) -> Report:
    return get_for(request.user, Report.objects.select_related("project__team", "created_by"), pk, role)


def _version(found: Report, text: str | None) -> ReportVersion:
    """The newest without a number; Http404 for one that there is not."""
    if text is None:
        return writing.version_of(found)
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise Http404
    try:
        return writing.version_of(found, int(text))
    except ReportVersion.DoesNotExist as error:
        raise Http404 from error


def _page(
    request: HttpRequest, found: Report, *, form: BlockCommentForm | None = None, status: int = 200
) -> HttpResponse:
    version = _version(found, request.GET.get("version"))
    parts = writing.shown(found.project, version)
    is_newest = version.number == found.version
    about = {part["key"]: [] for part in parts}  # type: dict[str, list[Any]]
    rest: list[Any] = []
    if is_newest:
        rows = Comment.objects.filter(report=found).select_related("author", "resolved_by")[:MOST_COMMENTS]
        for thread in comments.threads(list(rows)):
            about.get(thread.comment.block, rest).append(thread)
    for part in parts:
        part["threads"] = about[part["key"]]
    names = readers_of(found.project).values_list("username", flat=True)
    context = {
        "report": found,
        "project": found.project,
        "version": version,
        "is_newest": is_newest,
        "parts": parts,
        "rest": rest,
        "form": form or BlockCommentForm(),
        "names": list(names[:500]),
        "may_edit": can(request.user, found, Role.EDITOR),
        "may_administer": can(request.user, found, Role.ADMIN),
    }
    return render(request, "reports/report.html", context, status=status)


def _form(
    request: HttpRequest, project: Project, found: Report | None, form: ReportForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {"project": project, "report": found, "form": form, **more}
    return render(request, "reports/report_form.html", context, status=status)


def _preview(request: HttpRequest, project: Project, found: Report | None, form: ReportForm) -> HttpResponse:
    try:
        blocks = parse(form.cleaned_data["body"])
    except ReportError as error:
        form.add_error("body", error.wrong)
        return _form(request, project, found, form, status=400)
    frozen = writing.version_of(found).frozen if found else {}
    parts = writing.parts_of(project, cast(User, request.user), blocks, frozen)
    return _form(request, project, found, form, parts=parts, previewed=True)
