"""Lists of several pages are gone through by one component, with the same words everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from studio.accounts import activity
from studio.accounts.views import projects, teams
from studio.notifications.models import Notification
from studio.notifications.views import inbox
from studio.reports.views import activity as activities
from studio.runs.models import State
from studio.runs.views import queue
from tests.access.people import People
from tests.factories import make_project, make_run

pytestmark = pytest.mark.django_db
TEMPLATES = Path(settings.BASE_DIR, "templates")


@pytest.fixture
def many(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pages of everything, two things on each."""
    for module in (projects, teams, inbox, activities):
        monkeypatch.setattr(module, "PAGE_SIZE", 2)
    monkeypatch.setattr(queue, "MOST", 2)
    for n in range(6):
        if n < 5:  # and the one that people have
            make_project(team=people.team)
        make_run(people.project, state=State.QUEUED, created_by=people.owner)
        done = activity.add(project=people.project, actor=people.owner, kind="comment.add", title=f"{n}", url="/")
        Notification.objects.create(
            user=people.owner, project=people.project, key=f"a-{n}", kind="comment", title=f"{n}", url="/", at=done.at
        )
    for n in range(6):
        teams.AuditEntry.objects.create(team=people.team, actor=people.owner, action=f"x.{n}")


def pager(people: People, address: str) -> tuple[list[str], dict[str, str]]:
    """The words of the links, and where each leads."""
    html = people.client("owner").get(address).content.decode()
    (nav,) = re.findall(r'<nav class="pager" aria-label="Pages">(.*?)</nav>', html, re.DOTALL)
    links = re.findall(r'<a class="page-link"(?: rel="\w+")? href="([^"]*)">(.*?)</a>', nav, re.DOTALL)
    found = {re.sub(r"<[^>]*>", "", inner).strip(): address.replace("&amp;", "&") for address, inner in links}
    return list(found), found


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", ["audit-log", "project-list", "notification-list", "queue"])
def test_every_list_says_previous_and_next(people: People, name: str) -> None:
    address = reverse(name, args=[people.team.pk] if name == "audit-log" else [])
    assert pager(people, address)[0] == ["Next"]
    words, leads = pager(people, f"{address}?page=2&kept=1")
    assert words == ["Previous", "Next"]
    assert leads == {"Previous": "?page=1&kept=1", "Next": "?page=3&kept=1"}
    assert pager(people, f"{address}?page=3")[0] == ["Previous"]


@pytest.mark.usefixtures("many")
def test_what_is_read_from_a_moment_on_says_first_and_next(people: People) -> None:
    address = reverse("project-activity", args=[people.project.pk])
    words, leads = pager(people, address)
    assert words == ["Next"]
    words, leads = pager(people, address + leads["Next"])
    assert words == ["First", "Next"] and leads["First"] == address


def test_no_page_has_a_pager_of_its_own() -> None:
    own = [
        str(p.relative_to(TEMPLATES))
        for p in TEMPLATES.rglob("*.html")
        if re.search("page-link|rel=.next", p.read_text())
    ]
    assert own == ["core/_pager.html"]


def test_a_list_that_fits_on_a_page_has_no_pager(people: People) -> None:
    assert b'class="pager"' not in people.client("owner").get(reverse("project-list")).content


def test_numbers_of_long_lists_are_in_groups_of_three(people: People, monkeypatch: Any) -> None:
    monkeypatch.setattr(teams, "PAGE_SIZE", 1500)
    entry = teams.AuditEntry
    entry.objects.bulk_create(entry(team=people.team, actor=people.owner, action="x.y") for _ in range(1600))
    html = people.client("owner").get(reverse("audit-log", args=[people.team.pk])).content.decode()
    assert "1–1\u202f500 of 1\u202f6" in html
