"""The search finds what somebody may see, by all of its words, in few queries and short lists."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from studio.home.search import MOST_HITS
from studio.runs import tags
from tests import factories
from tests.access.people import People

pytestmark = pytest.mark.django_db


def titles(client: Client, text: str, project: int | str = "") -> dict[str, list[str]]:
    response = client.get("/search/items/", {"q": text, "project": project})
    assert response.status_code == 200
    return {group["title"]: [hit["title"] for hit in group["hits"]] for group in response.json()["groups"]}


def test_runs_are_found_by_words_number_tag_and_project(people: People) -> None:
    run = factories.make_run(people.project, name="wide resnet", number=71)
    tags.change([run.pk], add=["baseline"])
    factories.make_run(people.project, name="wide mlp")
    client = people.client("viewer")
    for text in ("resnet WIDE", "#71", "71", "Baseline", "digits 71"):
        assert titles(client, text)["Runs"] == ["#71 wide resnet"], text
    assert len(titles(client, "wide")["Runs"]) == 2
    assert titles(client, "wide nothing") == {}


def test_models_datasets_projects_teams_and_pages_are_found(people: People) -> None:
    factories.make_model("Zebra net", project=people.project)
    factories.make_dataset("Zebra pictures", project=people.project)
    factories.make_model("Zebra of all", built_in=True)
    factories.make_project("Zebra work", team=people.team)
    found = titles(people.client("viewer"), "zebra", people.project.pk)
    assert found == {
        "Models": ["Zebra net", "Zebra of all"],
        "Datasets": ["Zebra pictures"],
        "Projects": ["Zebra work"],
    }
    assert titles(people.client("viewer"), "crew")["Teams"] == ["Crew"]
    assert titles(people.client("viewer"), "queue") == {"Pages": ["Queue"]}


def test_nobody_finds_what_others_have(people: People) -> None:
    factories.make_run(people.project, name="zebra")
    factories.make_model("zebra", project=people.project)
    factories.make_dataset("zebra", project=people.project)
    factories.make_project("zebra", team=people.team)
    assert len(titles(people.client("viewer"), "zebra")) == 4
    for text in ("zebra", "crew", "digits"):
        assert titles(people.client("stranger"), text, people.project.pk) == {}
    assert "search-hit" not in people.client("stranger").get("/search/", {"q": "zebra"}).content.decode()
    assert "search-hit" in people.client("viewer").get("/search/", {"q": "zebra"}).content.decode()


def test_pages_are_those_that_the_role_may_open(people: People) -> None:
    assert titles(people.client("viewer"), "new", people.project.pk) == {}
    assert titles(people.client("editor"), "new", people.project.pk)["Pages"] == ["New run", "New model", "New dataset"]


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("invite", "Members and invitations"),
        ("members", "Members and invitations"),
        ("csv", "New dataset"),
        ("upload mod", "New model"),
        ("api key", "Account and tokens"),
        ("shared", "Shared links"),
    ],
)
def test_pages_are_found_by_other_words_for_them(people: People, words: str, page: str) -> None:
    assert titles(people.client("editor"), words, people.project.pk)["Pages"][0] == page


def test_the_members_of_a_team_are_one_click_away(people: People) -> None:
    page = people.client("editor").get(f"/projects/{people.project.pk}/").content.decode()
    assert f'href="/teams/{people.team.pk}/"' in page


def test_the_archive_and_the_trash_are_left_out(people: People) -> None:
    factories.make_run(people.project, name="zebra", deleted_at=timezone.now())
    factories.make_run(people.project, name="zebra", archived_at=timezone.now())
    factories.make_model("zebra", project=people.project, archived_at=timezone.now())
    assert titles(people.client("owner"), "zebra") == {}


@pytest.mark.parametrize("project", ["x", "-1", "²", "9" * 40, "1e3"])
def test_what_is_no_project_is_left_out(people: People, project: str) -> None:
    assert titles(people.client("owner"), "queue", project) == {"Pages": ["Queue"]}


def test_a_search_costs_few_queries_and_gives_short_lists(people: People, django_assert_max_num_queries: Any) -> None:
    for _ in range(MOST_HITS + 2):
        run = factories.make_run(people.project, name="zebra")
        tags.change([run.pk], add=["zebra", "stripes"])
        factories.make_model(f"zebra {run.pk}", project=people.project)
    client = people.client("editor")
    with django_assert_max_num_queries(10):  # who asks (2), the project, five kinds, the role
        found = titles(client, "zebra", people.project.pk)
    assert len(found["Runs"]) == len(set(found["Runs"])) == MOST_HITS
    assert len(found["Models"]) == MOST_HITS
    with django_assert_max_num_queries(12):
        assert "Nothing that you may see" in client.get("/search/", {"q": "x y z"}).content.decode()
