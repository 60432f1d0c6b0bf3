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
        "/projects/": [],
        "/projects/new/": [],
        "/account/": [],
    }
    for path, marked in pages.items():
        nav = client.get(path).content.decode().partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
        assert re.findall(r'aria-current="page">.*?<span>([^<]+)</span>', nav) == marked, path
