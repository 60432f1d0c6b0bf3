"""Who may read, write, comment on and publish reports."""

from __future__ import annotations

from typing import Any

from studio.reports.blocks import parse
from studio.reports.comments import comment
from studio.reports.models import Report
from studio.reports.sharing import share
from studio.reports.writing import create, save
from tests.access.matrix import Maker, edits, public, reads
from tests.access.people import People
from tests.access.routes_reports import members
from tests.factories import make_run

TEXT = "# What\n\nWords by @editor.\n\n```table\nruns: {number}\n```\n"


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def written(people: People) -> Report:
    body = TEXT.format(number=make_run(people.project).number)
    return create(project=people.project, by=people.editor, title="Findings", body=body)


def a_project_with_a_report(people: People) -> dict[str, Any]:
    written(people)
    return a_project(people)


def a_report(people: People) -> dict[str, Any]:
    made = written(people)
    comment(report=made, author=people.viewer, text="Why?")
    number = made.project.runs.latest("number").number
    comment(report=made, author=people.viewer, text="Here.", block=parse(TEXT.format(number=number))[0].key)
    return {"pk": made.pk}


def two_versions(people: People) -> dict[str, Any]:
    made = written(people)
    save(report=made, by=people.owner, title="Other", body="Other words.", base=1)
    return {"pk": made.pk}


def a_token(people: People) -> dict[str, Any]:
    return {"token": share(target=written(people), by=people.editor, project=people.project)[1]}


def text(base: int = 0, **more: str) -> Any:
    return lambda people, kwargs: {"title": "New", "body": "Words.", "base": base, **more}


def comments_on(who: str) -> Maker:
    def make(people: People) -> dict[str, Any]:
        return {"pk": comment(report=written(people), author=getattr(people, who), text="Why?").pk}

    return make


ROUTES = [
    reads("report-list", a_project_with_a_report),
    edits("report-create", a_project, method="GET", ok=200, query=lambda p, k: f"runs={make_run(p.project).number}"),
    edits("report-create", a_project, data=text()),
    reads("report", a_report),
    reads("report", two_versions, query=lambda people, kwargs: "version=1"),
    edits("report-edit", a_report, method="GET", ok=200),
    edits("report-edit", a_report, data=text(1)),
    edits("report-edit", a_report, ok=200, data=text(1, preview="1")),
    reads("report-versions", two_versions, query=lambda people, kwargs: "from=1&to=2"),
    edits("report-publish", a_report),
    edits("report-delete", a_report),
    reads("report-export", a_report),
    members("report-comment", a_report, data=lambda people, kwargs: {"text": "See."}),
    edits("comment-resolve", comments_on("viewer")),
    edits("share-create", a_project, method="GET", ok=200, query=lambda p, k: f"report={written(p).pk}"),
    public("shared", a_token),
]
