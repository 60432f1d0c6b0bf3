"""Who may write reports and make links for people without an account by program."""

from __future__ import annotations

import functools
from typing import Any

from studio.reports.sharing import share
from studio.reports.writing import create
from tests import factories
from tests.access import matrix
from tests.access.people import People
from tests.access.routes_api import creates, reads, signed_in, writes

puts = functools.partial(writes, method="PUT")


def a_report(people: People) -> dict[str, Any]:
    return {"pk": create(project=people.project, by=people.editor, title="Digits", body="# So far").pk}


def a_link(people: People) -> dict[str, Any]:
    run = factories.make_run(people.project)
    return {"pk": share(target=run, by=people.editor, project=people.project)[0].pk}


def two_runs(people: People, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"runs": [factories.make_run(people.project).pk, factories.make_run(people.project).pk]}


ROUTES = [
    signed_in("api:list_reports"),
    reads("api:list_reports", query=lambda people, kwargs: f"project={people.project.pk}"),
    reads("api:read_report", a_report),
    creates("api:create_report", data=lambda people, kwargs: {"project": people.project.pk, "title": "New"}),
    puts("api:save_report", a_report, data=lambda people, kwargs: {"title": "New", "body": "words", "version": 1}),
    writes("api:publish_report", a_report, data=lambda people, kwargs: {}),
    reads("api:export_report", a_report),
    signed_in("api:list_share_links"),
    reads("api:list_share_links", query=lambda people, kwargs: f"project={people.project.pk}"),
    reads("api:read_share_link", a_link),
    creates("api:create_share_link", data=lambda p, kwargs: {"run": factories.make_run(p.project).pk}),
    creates("api:create_share_link", data=lambda p, kwargs: {"report": a_report(p)["pk"]}),
    creates("api:create_share_link", data=two_runs),
    matrix.edits("api:revoke_share_link", a_link, ok=200, anonymous=401),
]
