"""Reports: listed, read, written, published, and as one HTML file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import content_disposition_header
from ninja import Field, Router, Schema, Status
from pydantic import StringConstraints

from studio.accounts.access import get_for
from studio.accounts.models import Project, Role, User
from studio.api.auth import user_of
from studio.api.idempotency import once
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Given, Id
from studio.core.download import safe_name
from studio.reports import export, writing
from studio.reports.blocks import LONGEST_BODY
from studio.reports.models import Report

router = Router(tags=["reports"])
Title = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
Body = Annotated[str, StringConstraints(max_length=LONGEST_BODY)]


class ReportGiven(Given):
    """`body` is Markdown with fenced blocks for charts, tables, runs, images and checkpoints."""

    project: Id
    title: Title
    body: Body = ""


class ReportChange(Given):
    title: Title
    body: Body
    version: int = Field(ge=1, description="The version that was changed; 409 when there is a newer one.")


class PublishGiven(Given):
    draft: bool = Field(False, description="Back to a draft.")


class ReportOut(Schema):
    id: int
    project: int = Field(alias="project_id")
    title: str
    is_draft: bool
    version: int
    created_by: str | None
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_created_by(obj: Report) -> str | None:
        return str(obj.created_by) if obj.created_by else None


class ReportText(ReportOut):
    body: str

    @staticmethod
    def resolve_body(obj: Report) -> str:
        return writing.version_of(obj).body


@router.get("/reports", response=Page[ReportOut])
def list_reports(
    request: HttpRequest, project: int | None = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    user = user_of(request)
    found = Report.objects.visible_to(user).select_related("created_by")
    if project is not None:
        found = found.filter(project=get_for(user, Project.objects, project))
    return page_of(found, limit, cursor)


def _read(user: User, pk: Any, role: Role = Role.VIEWER) -> Report:
    return get_for(user, Report.objects.select_related("project", "created_by"), pk, role)


@router.post("/reports", response={201: ReportText, 200: ReportText})
@once(_read)
def create_report(request: HttpRequest, given: ReportGiven) -> Status[Report]:
    """A draft. Needs the role of an editor."""
    user = user_of(request)
    project = get_for(user, Project.objects, given.project, Role.EDITOR)
    made = writing.create(project=project, by=user, title=given.title, body=given.body)
    return Status(201, _read(user, made.pk))


@router.get("/reports/{pk}", response=ReportText)
def read_report(request: HttpRequest, pk: int) -> Report:
    return _read(user_of(request), pk)


@router.put("/reports/{pk}", response=ReportText)
def save_report(request: HttpRequest, pk: int, given: ReportChange) -> Report:
    """A new version; earlier ones stay."""
    user = user_of(request)
    report = _read(user, pk, Role.EDITOR)
    writing.save(report=report, by=user, title=given.title, body=given.body, base=given.version)
    return _read(user, pk)


@router.post("/reports/{pk}/publish", response=ReportText)
def publish_report(request: HttpRequest, pk: int, given: PublishGiven) -> Report:
    """Say to the project that it is ready, or that it is a draft again."""
    user = user_of(request)
    url = reverse("report", args=[pk])
    writing.publish(report=_read(user, pk, Role.EDITOR), by=user, draft=given.draft, url=url)
    return _read(user, pk)


@router.get("/reports/{pk}/html")
def export_report(request: HttpRequest, pk: int) -> HttpResponse:
    """One HTML file that opens without a network; paths, secrets and names of machines are left out."""
    report = _read(user_of(request), pk)
    content = export.html_of(report.project, writing.version_of(report))
    response = HttpResponse(content, content_type="text/html; charset=utf-8")
    name = content_disposition_header(True, f"{safe_name(report.title)}.html")
    response.headers["Content-Disposition"] = name or "attachment"
    return response
