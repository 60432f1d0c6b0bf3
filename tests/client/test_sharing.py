"""Reports and links from Python: written, shared, taken back; what the links say of themselves."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from studio.client import Client, StudioError
from studio.reports import sharing, writing
from studio.reports.models import ShareLink
from tests import factories
from tests.access.people import People
from tests.api.program import Api


def seen(server: str, url: str) -> int:
    path = url.removeprefix(settings.PUBLIC_URL)
    try:
        with urllib.request.urlopen(server + path, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_report_is_written_shared_and_kept_as_a_file(studio: Client, people: People, server: str) -> None:
    run = studio.runs.get(factories.make_run(people.project, state="succeeded").pk)
    report = studio.reports.create("Digits", "Findings", f"# Result\n\n```table\nruns: {run.number}\n```\n")
    assert report.is_draft and report.version == 1
    before = studio.reports.get(report.id)
    report.save(f"{report.body}\nIt works.\n").publish()
    assert (report.version, report.is_draft) == (2, False) and "It works." in studio.reports.get(report.id).body
    with pytest.raises(StudioError, match="Somebody else saved"):
        before.save("other words")
    with pytest.raises(StudioError, match="Line 2"):
        studio.reports.create("Digits", "Bad", "```chart\nruns: many\n```")
    assert [r.title for r in studio.reports.list("Digits")] == ["Findings"]
    assert "It works." in report.html() and "<script" not in report.html()

    link = studio.links.create(report, title="For the board", days=3, parts=["author"])
    assert link.url and seen(server, link.url) == 200 and link.kind == "report" and link.parts == ["author"]
    assert studio.links.list("Digits", open=True)[0].title == "For the board"
    assert studio.links.list("Digits")[0].url is None
    assert link.refresh().views == 1 and link.url
    assert not link.revoke().is_open
    assert seen(server, link.url) == 404 and studio.links.list(open=True) == []


def test_runs_checkpoints_and_comparisons_are_shared(studio: Client, people: People, server: str) -> None:
    runs = [factories.make_run(people.project, state="succeeded") for _ in range(2)]
    checkpoint = factories.write_checkpoint(runs[0])
    ours = [studio.runs.get(run.pk) for run in runs]
    made = [studio.links.create(ours[0], frozen=True, embed_on=["https://Wiki.example/"]), studio.links.create(ours)]
    made.append(studio.links.create(ours[0].checkpoints()[0]))
    assert [link.kind for link in made] == ["run", "comparison", "checkpoint"]
    assert [seen(server, link.url or "") for link in made] == [200, 200, 200]
    assert made[0].embed_on == ["https://wiki.example"] and seen(server, made[0].embed_url or "") == 200
    assert made[1].embed_url is None
    checkpoint.refresh_from_db()
    assert checkpoint.pinned


def test_what_cannot_be_shared_is_refused_in_words(
    studio: Client, people: People, client_of: Callable[..., Any]
) -> None:
    run = studio.runs.get(factories.make_run(people.project).pk)
    elsewhere = client_of("stranger").runs.get(factories.make_run(people.other_project).pk)
    for thing, given, words in (
        (run, {"embed_on": ["*"]}, "'\\*' is no site"),
        (run, {"embed_on": ["https://a.example"], "password": "long enough"}, "cannot be embedded"),
        (run, {"password": "short"}, "at least 8 characters"),
        (run, {"days": 1000}, "less than or equal to 365"),
        (run, {"parts": ["environment"]}, "'config', 'logs', 'files' or 'author'"),
        ([run], {}, "A comparison has 2 to 50 runs"),
        ([run, elsewhere], {}, "nothing here"),
    ):
        with pytest.raises(StudioError, match=words):
            studio.links.create(thing, **given)  # type: ignore[arg-type]
    assert not ShareLink.objects.exists()
    with pytest.raises(StudioError):
        client_of("viewer").links.create(run)


def test_lists_of_links_and_reports_cost_the_same_whatever_their_length(people: People) -> None:
    api, run = Api(people.editor), factories.make_run(people.project)

    def make() -> None:
        sharing.share(target=run, by=people.editor, project=people.project)
        writing.create(project=people.project, by=people.editor, title="Digits", body="")

    def cost(path: str) -> int:
        api.get(path)  # notes the use of the token
        with CaptureQueriesContext(connection) as captured:
            api.get(path)
        return len(captured)

    make()
    before = [cost(path) for path in ("/share-links", "/reports")]
    for _ in range(11):
        make()
    assert [cost(path) for path in ("/share-links", "/reports")] == before and max(before) <= 6
    page = api.get("/share-links?limit=5")
    assert len(page["items"]) == 5 and page["next"]
    assert "digest" not in repr(page) and "snapshot" not in repr(page)
