"""The REST interface by token: what it answers, and in which words it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from studio.accounts.models import Membership
from studio.api.render import StrictJSON
from studio.registry.models import ModelVersion
from studio.runs import presets
from tests import factories
from tests.access.people import People
from tests.api.program import Api, error_of

pytestmark = pytest.mark.django_db


def test_errors_have_one_shape(api: Api, people: People) -> None:
    cases = [
        (api("GET", "/runs/999999"), 404, "not_found"),
        (api("GET", "/nowhere"), 404, "not_found"),
        (api("GET", "/runs/x"), 422, "invalid"),
        (api("DELETE", "/projects"), 405, "method"),
        (api("GET", "/projects?limit=0"), 422, "invalid"),
        (api("GET", "/projects?limit=201"), 422, "invalid"),
        (api("GET", "/projects?cursor=x"), 422, "invalid"),
        (api("GET", "/runs?state=sleeping"), 422, "invalid"),
        (api("POST", "/projects", {"name": " "}), 422, "invalid"),
        (api("POST", "/projects", {"name": "x", "slug": "y"}), 422, "invalid"),
        (api("POST", "/projects", "{not json"), 400, "bad_request"),
        (api("POST", "/projects", [1]), 422, "invalid"),
    ]
    for response, status, code in cases:
        assert response.status_code == status, response.content
        assert error_of(response)["code"] == code


def test_what_does_not_fit_is_told_field_by_field(api: Api, people: People) -> None:
    error = error_of(api("POST", "/projects", {"name": "", "team": "x", "colour": "red"}))
    assert set(error["fields"]) == {"name", "team", "colour"}


def test_a_fault_of_ours_shows_no_trace(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("studio.api.routes.me.page_of", fail)
    api.client.raise_request_exception = False
    response = api("GET", "/projects")
    assert response.status_code == 500
    assert error_of(response)["code"] == "server_error"
    assert b"secret" not in response.content


def test_pages_go_on_where_the_last_one_ended(api: Api, people: People) -> None:
    runs = [factories.make_run(people.project).pk for _ in range(5)]
    first = api.get("/runs?limit=2")
    factories.make_run(people.project)  # made meanwhile: shifts nothing
    second = api.get(f"/runs?limit=2&cursor={first['next']}")
    third = api.get(f"/runs?limit=2&cursor={second['next']}")
    found = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert found == runs[::-1]
    assert third["next"] is None


def test_code_needs_the_right_to_run_it(api: Api, people: People) -> None:
    given = {"project": people.project.pk, "name": "Mine", "code": "class M: ...\n"}
    refused = api("POST", "/models", given)
    assert refused.status_code == 403
    assert "right" in error_of(refused)["message"]
    Membership.objects.filter(user=people.editor).update(may_run_code=True)
    made = api("POST", "/models", given)
    assert made.status_code == 201
    assert made.json()["state"] == "inspecting"
    assert api("POST", "/models", given).json()["id"] == made.json()["id"]
    assert ModelVersion.objects.get().created_by == people.editor


def test_models_and_datasets_of_a_project_are_its_own_and_the_built_in_ones(api: Api, people: People) -> None:
    factories.make_model("Ours", project=people.project)
    factories.make_model("Shared", built_in=True)
    factories.make_model("Theirs", project=people.other_project)
    for path in ("/models", f"/models?project={people.project.pk}"):
        assert [item["name"] for item in api.get(path)["items"]] == ["Shared", "Ours"]
    assert [item["name"] for item in api.get("/models?name=Ours")["items"]] == ["Ours"]


def test_a_table_comes_in_chunks(api: Api, people: People) -> None:
    data = b"a,b\n1,2\n3,4\n"
    given = {"project": people.project.pk, "filename": "t.csv", "size_bytes": len(data)}
    upload = api("POST", "/uploads", given).json()["id"]

    def put(offset: int, chunk: bytes) -> Any:
        headers = {"Authorization": f"Bearer {api.token}"}
        url = f"/api/v1/uploads/{upload}?offset={offset}"
        return api.client.put(url, chunk, content_type="application/octet-stream", headers=headers)

    assert put(0, data[:5]).json()["received_bytes"] == 5
    wrong = put(9, data[9:])
    assert wrong.status_code == 409
    assert error_of(wrong)["received"] == 5
    assert put(5, data[5:]).json()["received_bytes"] == len(data)
    made = api("POST", "/datasets", {"project": people.project.pk, "name": "t", "upload": upload, "target": "b"})
    assert made.status_code == 201, made.content
    assert (made.json()["state"], made.json()["size_bytes"]) == ("inspecting", len(data))
    assert api("POST", "/datasets", {"project": people.project.pk, "name": "t", "upload": "x"}).status_code == 422


def test_workers_are_told_with_whether_they_answer(api: Api) -> None:
    from datetime import timedelta

    from django.utils import timezone

    factories.make_worker("fresh")
    factories.make_worker("silent", heartbeat_at=timezone.now() - timedelta(minutes=5))
    factories.make_worker("stopped", stopped_at=timezone.now())
    assert [(w["name"], w["online"]) for w in api.get("/workers")["items"]] == [("silent", False), ("fresh", True)]


LISTS = [
    "/projects",
    "/models",
    "/datasets",
    "/runs",
    "/workers",
    "/presets",
    "/models/{model}/versions",
    "/datasets/{dataset}/versions",
]


@pytest.mark.parametrize("path", [*LISTS, "/runs/{run}/checkpoints", "/runs/{run}/events"])
def test_a_list_costs_the_same_whatever_its_length(api: Api, people: People, path: str) -> None:
    run = factories.make_run(people.project)
    model, dataset = run.model_version.model, run.dataset_version.dataset
    path = path.format(run=run.pk, model=model.pk, dataset=dataset.pk)
    api.get(path)  # notes the use of the token

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            api.get(path)
        return len(captured)

    before = cost()
    for number in range(12):
        factories.make_project(team=people.team)
        factories.make_model_version(model)
        factories.make_dataset_version(dataset)
        factories.make_run(people.project, created_by=people.owner)
        factories.make_worker()
        factories.make_checkpoint(run, step=number)
        run.events.create(kind="notice", text="x")
        presets.save(team=people.team, user=people.owner, name=f"p{number}", values={})
    assert len(api.get(path)["items"]) > 10
    assert cost() == before <= 6


def test_numbers_that_are_not_finite_are_words() -> None:
    data = {"a": float("-inf"), "b": [float("nan")], "c": {"d": (float("inf"), 1.5)}}
    text = StrictJSON().render(HttpRequest(), data, response_status=200)
    assert json.loads(text) == {"a": "-Infinity", "b": ["NaN"], "c": {"d": ["Infinity", 1.5]}}


def test_the_description_names_every_operation_once(client: Client) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    names = [op["operationId"] for path in schema["paths"].values() for op in path.values()]
    assert len(names) == len(set(names)) >= 25
    assert all("default" in op["responses"] for path in schema["paths"].values() for op in path.values())
    assert all(op["security"] for path in schema["paths"].values() for op in path.values())
