"""The navigation marks the one link to which the page belongs."""

from __future__ import annotations

import re

import pytest

from tests import factories
from tests.access.people import People


@pytest.mark.django_db
def test_a_page_is_marked_in_the_navigation_where_it_belongs(people: People) -> None:
    project, run = people.project, factories.make_run(people.project)
    version = run.model_version
    client = people.client("owner")
    pages = {
        "/": ["Home"],
        f"/projects/{project.pk}/": ["Runs"],
        f"/runs/{run.pk}/": ["Runs"],
        f"/runs/{run.pk}/config/": ["Runs"],
        f"/projects/{project.pk}/runs/new/": ["New run"],
        f"/projects/{project.pk}/models/new/": ["Models"],
        f"/models/{version.model_id}/?project={project.pk}": ["Models"],
        f"/model-versions/{version.pk}/?project={project.pk}": ["Models"],
        f"/projects/{project.pk}/datasets/": ["Datasets"],
        "/workers/": ["Workers"],
        f"/projects/{project.pk}/storage/rules/": ["Storage"],
        f"/teams/{project.team_id}/": ["Members"],
        f"/teams/{project.team_id}/audit/": ["Members"],
        f"/teams/{project.team_id}/run-defaults/": ["Members"],
        f"/teams/{project.team_id}/storage/": ["Members"],
        "/projects/": [],
        "/projects/new/": [],
        "/account/": [],
    }
    for path, marked in pages.items():
        nav = client.get(path).content.decode().partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
        assert re.findall(r'aria-current="page">.*?<span>([^<]+)</span>', nav) == marked, path


@pytest.mark.django_db
def test_nobody_is_led_to_a_form_that_their_role_does_not_open(people: People) -> None:
    new_run, edit = f'href="/projects/{people.project.pk}/runs/new/"', f'href="/projects/{people.project.pk}/edit/"'
    for path in ("/", f"/projects/{people.project.pk}/models/"):
        assert new_run in people.client("editor").get(path).content.decode(), path
        assert new_run not in people.client("viewer").get(path).content.decode(), path
    assert edit in people.client("editor").get("/projects/").content.decode()
    assert edit not in people.client("viewer").get("/projects/").content.decode()
