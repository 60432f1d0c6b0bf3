"""The first page leads to a first run, and shows what runs in the projects that one sees."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from studio.accounts.models import Membership
from studio.home.views import EXAMPLE_DATASET, EXAMPLE_MODEL
from studio.registry.builtin import sync_builtins
from studio.runs.models import State
from tests import factories
from tests.access.people import People

pytestmark = pytest.mark.django_db


def page(client: Client) -> str:
    response = client.get(reverse("home"))
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def example(db: None) -> str:
    """The query of the form in which the built-in example is chosen."""
    model = factories.make_model_version(factories.make_model(built_in=True), ref=EXAMPLE_MODEL)
    dataset = factories.make_dataset_version(factories.make_dataset(built_in=True), ref=EXAMPLE_DATASET)
    return f"?model={model.pk}&amp;dataset={dataset.pk}"


def test_an_empty_studio_has_one_main_way_on_and_one_to_own_data(people: People, example: str) -> None:
    url = reverse("run-create", args=[people.project.pk]) + example
    for name in ("owner", "editor"):
        text = page(people.client(name))
        assert text.count("Run the example") == 1
        assert f"/projects/{people.project.pk}/datasets/new/" in text, "no way to begin with data of one's own"
        assert url in text
    assert "Run the example" not in page(people.client("viewer"))


def test_after_the_first_run_the_page_shows_runs(people: People, example: str) -> None:
    run = factories.make_run(people.project, name="baseline")
    factories.make_run(people.other_project, name="elsewhere")
    text = page(people.client("viewer"))
    assert reverse("run", args=[run.pk]) in text
    assert "baseline" in text
    assert "elsewhere" not in text
    assert "Run the example" not in text


def test_somebody_without_a_team_is_told_what_to_do(people: People, example: str) -> None:
    Membership.objects.filter(user=people.viewer).delete()
    text = page(people.client("viewer"))
    assert reverse("team-create") in text
    assert "Run the example" not in text


def test_without_workers_it_says_how_to_start_one(people: People) -> None:
    assert "No worker is online" in page(people.client("viewer"))
    worker = factories.make_worker("cpu-1")
    factories.make_run(people.project, state=State.RUNNING, worker=worker)
    text = page(people.client("viewer"))
    assert "No worker is online" not in text
    assert "cpu-1" in text
    assert "Busy" in text


def test_the_page_costs_the_same_whatever_there_is(people: People, example: str) -> None:
    client = people.client("owner")
    factories.make_run(people.project, worker=factories.make_worker())
    page(client)

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            page(client)
        return len(captured)

    before = cost()
    for _ in range(15):
        factories.make_run(factories.make_project(team=people.team), worker=factories.make_worker())
    assert cost() == before <= 12
    assert page(client).count(f'href="{reverse("run", args=[1])[:-2]}') <= 10


def test_the_example_is_one_of_the_built_in_ones(people: People) -> None:
    sync_builtins()
    assert "Run the example" in page(people.client("owner"))
