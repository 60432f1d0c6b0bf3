"""A page with nothing on it says what will be there, and leads on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from studio.accounts.models import AuditEntry
from tests.access.people import People

pytestmark = pytest.mark.django_db
TEXT = re.compile(r'<p class="empty-state-text">\s*(\S.*?)\s*</p>', re.S)

PAGES: dict[str, Callable[[People], str]] = {
    "runs": lambda people: f"/projects/{people.project.pk}/",
    "models": lambda people: f"/projects/{people.project.pk}/models/",
    "datasets": lambda people: f"/projects/{people.project.pk}/datasets/",
    "checkpoints": lambda people: f"/projects/{people.project.pk}/checkpoints/",
    "storage": lambda people: f"/projects/{people.project.pk}/storage/",
    "trash": lambda people: f"/projects/{people.project.pk}/trash/",
    "reports": lambda people: f"/projects/{people.project.pk}/reports/",
    "activity": lambda people: f"/projects/{people.project.pk}/activity/",
    "links": lambda people: f"/projects/{people.project.pk}/links/",
    "audit log": lambda people: f"/teams/{people.team.pk}/audit/",
    "a search of one word": lambda people: "/search/?q=zebra",
    "a search of two words": lambda people: "/search/?q=zebra+crossing",
}


def empty_state(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    page = response.content.decode()
    begin = page.index('<div class="empty-state">')
    return page[begin : page.index("</main>", begin)]


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_page_says_what_comes_there_and_leads_on(people: People, name: str) -> None:
    AuditEntry.objects.all().delete()
    found = empty_state(people.client("owner"), PAGES[name](people))
    assert TEXT.search(found), name
    assert re.search(r'<a class="btn btn-primary" href="/[^"]*">\w', found), name


def test_the_words_of_a_search_without_result_fit_what_was_searched(people: People) -> None:
    client = people.client("owner")
    assert "Fewer of them" not in empty_state(client, "/search/?q=zebra")
    assert "Fewer of them" in empty_state(client, "/search/?q=zebra+crossing")


def test_who_may_not_register_code_is_told_whom_to_ask_and_what_else_there_is(people: People) -> None:
    found = empty_state(people.client("editor"), f"/projects/{people.project.pk}/models/new/", 403)
    assert f"<strong>{people.owner}</strong>" in found
    assert f'href="/projects/{people.project.pk}/models/"' in found
    assert f'href="/teams/{people.team.pk}/"' in found


def test_the_audit_log_calls_things_as_pages_do(people: People) -> None:
    for kind in ("registry.modelversion", "accounts.team", "gone.thing"):
        AuditEntry.objects.create(team=people.team, action="x.y", object_type=kind, object_id="7")
    page = people.client("owner").get(f"/teams/{people.team.pk}/audit/").content.decode()
    assert re.findall(r'<span class="text-secondary">([^<]+ 7)</span>', page) == [
        "gone.thing 7",
        "team 7",
        "model version 7",
    ]
