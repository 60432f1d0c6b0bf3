"""Links for people without an account: made, listed, taken back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema, Status
from pydantic import StringConstraints, model_validator

from studio.accounts.access import get_for, require
from studio.accounts.models import Project, Role, User
from studio.api.auth import user_of
from studio.api.pages import Cursor, Limit, Page, page_of
from studio.api.schemas import Given, Id
from studio.reports import sharing
from studio.reports.errors import ShareError
from studio.reports.models import Report, ShareLink
from studio.runs.models import Checkpoint, Run

router = Router(tags=["sharing"])
Part = Literal["config", "logs", "files", "author"]
WHAT = ("run", "checkpoint", "report", "runs")


class LinkGiven(Given):
    """One of `run`, `checkpoint`, `report`, or `runs` for a comparison, by their ids."""

    run: Id | None = None
    checkpoint: Id | None = None
    report: Id | None = None
    runs: Annotated[list[Id], Field(max_length=sharing.MOST_RUNS)] | None = None
    title: Annotated[str, StringConstraints(max_length=120)] = ""
    days: int = Field(sharing.DAYS, ge=1, le=sharing.MOST_DAYS)
    password: Annotated[str, StringConstraints(max_length=128)] = Field("", description="At least 8 characters.")
    frozen: bool = Field(False, description="Shows what there is now, whatever comes later.")
    parts: list[Part] = Field([], description="What it shows beside charts and metrics.")
    embed_on: list[str] = Field([], description="Sites that may show it in a frame, as https://wiki.example.")

    @model_validator(mode="after")
    def one_thing(self) -> LinkGiven:
        if sum(getattr(self, name) is not None for name in WHAT) != 1:
            raise ValueError(f"give one of {', '.join(WHAT)}")
        if 0 < len(self.password) < 8:
            raise ValueError("a password has at least 8 characters")
        return self


class LinkOut(Schema):
    """`url` and `embed_url` are told by the request that made the link, and never again: they are stored nowhere."""

    id: int
    project: int = Field(alias="project_id")
    kind: str
    run: int | None = Field(alias="run_id")
    checkpoint: int | None = Field(alias="checkpoint_id")
    report: int | None = Field(alias="report_id")
    runs: list[int] = Field(alias="run_ids")
    title: str
    frozen: bool
    parts: list[str]
    password: bool
    embed_on: list[str]
    is_open: bool
    views: int
    created_by: str | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_viewed_at: datetime | None
    url: str | None = None
    embed_url: str | None = None

    @staticmethod
    def resolve_parts(obj: ShareLink) -> list[str]:
        return [part.removeprefix("show_") for part in sharing.PARTS if getattr(obj, part)]

    @staticmethod
    def resolve_password(obj: ShareLink) -> bool:
        return bool(obj.password)

    @staticmethod
    def resolve_created_by(obj: ShareLink) -> str | None:
        return str(obj.created_by) if obj.created_by else None


@router.get("/share-links", response=Page[LinkOut])
def list_share_links(
    request: HttpRequest, project: int | None = None, open: bool = False, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """Those of the projects that one sees; with `open`, without those that expired or were taken back."""
    user, found = user_of(request), _links().visible_to(user_of(request))
    if project is not None:
        found = found.filter(project=get_for(user, Project.objects, project))
    return page_of(found.open() if open else found, limit, cursor)


@router.post("/share-links", response={201: LinkOut})
def create_share_link(request: HttpRequest, given: LinkGiven) -> Status[ShareLink]:
    """Needs the role of an editor. What is sent again makes another link, since an address is told only once."""
    user = user_of(request)
    target, project = _target(user, given)
    link, token = sharing.share(
        target=target,
        by=user,
        project=project,
        title=given.title,
        days=given.days,
        password=given.password,
        frozen=given.frozen,
        parts=[f"show_{part}" for part in dict.fromkeys(given.parts)],
        embed_on=given.embed_on,
    )
    told: Any = link
    told.url = settings.PUBLIC_URL + reverse("shared", args=[token])
    told.embed_url = settings.PUBLIC_URL + reverse("shared-embed", args=[token]) if link.embed_on else None
    return Status(201, told)


@router.get("/share-links/{pk}", response=LinkOut)
def read_share_link(request: HttpRequest, pk: int) -> ShareLink:
    return get_for(user_of(request), _links(), pk)


@router.post("/share-links/{pk}/revoke", response=LinkOut)
def revoke_share_link(request: HttpRequest, pk: int) -> ShareLink:
    """From now on it opens nothing; asked again, nothing changes."""
    user = user_of(request)
    sharing.revoke(link=get_for(user, _links(), pk, Role.EDITOR), by=user)
    return get_for(user, _links(), pk)


def _links() -> Any:
    return ShareLink.objects.defer("snapshot").select_related("project", "created_by")


def _target(user: User, given: LinkGiven) -> tuple[sharing.Target, Project]:
    if given.report is not None:
        report = get_for(user, Report.objects.select_related("project"), given.report, Role.EDITOR)
        return report, report.project
    if given.checkpoint is not None:
        living = Checkpoint.objects.filter(deleted_at=None, run__deleted_at=None).select_related("run__project")
        checkpoint = get_for(user, living, given.checkpoint, Role.EDITOR)
        return checkpoint, checkpoint.run.project
    rows = Run.objects.listed().select_related("project")
    if given.run is not None:
        run = get_for(user, rows, given.run, Role.EDITOR)
        return run, run.project
    asked = list(dict.fromkeys(given.runs or []))
    found = {run.pk: run for run in rows.visible_to(user).filter(pk__in=asked)}
    if not asked or len(found) < len(asked):
        raise Http404
    runs = [found[pk] for pk in asked]
    if any(run.project_id != runs[0].project_id for run in runs):
        raise ShareError("A comparison has runs of one project; these are of several.")
    require(user, runs[0].project, Role.EDITOR)
    return runs, runs[0].project
