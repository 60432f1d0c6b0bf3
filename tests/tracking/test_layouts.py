"""Charts are arranged by each person alone, and for a project by those who may edit it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from studio.tracking.layouts import layout_for
from studio.tracking.models import ChartLayout
from tests.access.people import People


def put(client: Client, people: People, layout: Any, name: str = "chart-layout") -> Any:
    body = layout if isinstance(layout, str) else json.dumps(layout)
    return client.put(reverse(name, args=[people.project.pk]), body, content_type="application/json")


def get(client: Client, people: People) -> Any:
    return client.get(reverse("chart-layout", args=[people.project.pk])).json()


def test_everybody_has_an_own_layout_else_the_projects_else_the_defaults(people: People) -> None:
    viewer, editor = people.client("viewer"), people.client("editor")
    assert get(viewer, people)["whose"] == "default"
    assert put(editor, people, {"pinned": ["acc"], "x": "epoch"}, "chart-layout-shared").status_code == 200
    assert (get(viewer, people)["whose"], get(viewer, people)["pinned"]) == ("project", ["acc"])
    own = put(viewer, people, {"smoothing": 0.6, "order": ["b", "a"], "log_y": True}).json()
    assert own == get(viewer, people)
    assert (own["whose"], own["smoothing"], own["x"], own["pinned"]) == ("own", 0.6, "step", None)
    assert get(editor, people)["whose"] == "project", "nobody else's"
    url = reverse("chart-layout", args=[people.project.pk])
    assert viewer.delete(url).json()["whose"] == viewer.delete(url).json()["whose"] == "project"
    editor.delete(reverse("chart-layout-shared", args=[people.project.pk]))
    assert get(viewer, people)["whose"] == "default"
    assert not ChartLayout.objects.exists()


def test_a_layout_belongs_to_one_project(people: People) -> None:
    put(people.client("owner"), people, {"smoothing": 0.5})
    assert layout_for(people.other_project, people.owner)["whose"] == "default"


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("no json", "layout: Invalid JSON"),
        ({"smoothing": 1}, "smoothing: Input should be less than or equal to 0.99"),
        ({"x": "moon"}, "x: Input should be 'step', 'epoch', 'samples', 'relative' or 'time'"),
        ({"order": [""]}, "order.0: String should have at least 1 character"),
        ({"hidden": ["a"] * 501}, "hidden: List should have at most 500 items"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ([], "layout: Input should be an object"),
    ],
)
def test_what_is_no_layout_is_refused_with_words(people: People, layout: Any, words: str) -> None:
    for name, person in (("chart-layout", "viewer"), ("chart-layout-shared", "editor")):
        answer = put(people.client(person), people, layout, name)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
    assert not ChartLayout.objects.exists()


def test_a_kept_layout_that_is_no_longer_understood_gives_the_defaults(people: People) -> None:
    row = ChartLayout.objects.create(project=people.project, user=people.viewer, data={"smoothing": 7})
    assert layout_for(people.project, people.viewer)["smoothing"] == 0.0
    ChartLayout.objects.filter(pk=row.pk).update(data={"smoothing": 0.3, "forgotten": 1})
    assert layout_for(people.project, people.viewer)["smoothing"] == 0.3


def test_a_layout_takes_one_query_and_each_person_has_one_row(people: People) -> None:
    with CaptureQueriesContext(connection) as queries:
        layout_for(people.project, people.viewer)
    assert len(queries) == 1
    for user in (people.viewer, None):
        ChartLayout.objects.create(project=people.project, user=user)
        with pytest.raises(IntegrityError), transaction.atomic():
            ChartLayout.objects.create(project=people.project, user=user)
