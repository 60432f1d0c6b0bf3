"""Runs by REST: found, started, ordered."""

from __future__ import annotations

from typing import Any

import pytest

from studio.runs.models import Run, State
from tests import factories
from tests.access.people import People
from tests.api.program import Api, error_of

pytestmark = pytest.mark.django_db


def test_runs_are_filtered(api: Api, people: People) -> None:
    done = factories.make_run(people.project, state=State.SUCCEEDED, name="baseline")
    child = factories.make_run(people.project, state=State.FAILED, parent=done)
    factories.make_run(people.other_project)

    def found(query: str) -> list[int]:
        return [item["id"] for item in api.get(f"/runs?{query}")["items"]]

    assert found("") == [child.pk, done.pk]
    assert found("state=succeeded") == [done.pk]
    assert found("state=succeeded&state=failed") == [child.pk, done.pk]
    assert found("name=BASE") == [done.pk]
    assert found(f"parent={done.pk}") == [child.pk]
    assert found(f"model={child.model_version.model_id}") == [child.pk]
    assert found(f"dataset={done.dataset_version.dataset_id}") == [done.pk]
    assert found(f"project={people.project.pk}") == [child.pk, done.pk]
    assert found("created_by__password__startswith=x&order_by=secret") == [
        child.pk,
        done.pk,
    ]  # no look-up by such names
    assert api("GET", f"/runs?project={people.other_project.pk}").status_code == 404


def make_choices(people: People) -> dict[str, Any]:
    return {
        "project": people.project.pk,
        "model_version": factories.make_model_version(project=people.project).pk,
        "dataset_version": factories.make_dataset_version(project=people.project).pk,
    }


def test_a_run_is_started_once_for_a_key(api: Api, people: People) -> None:
    given = {
        **make_choices(people),
        "trainer": {"max_epochs": 3},
        "model_args": {"hidden": 16},
        "seed": 7,
        "name": "first",
    }
    first = api("POST", "/runs", given, Idempotency_Key="a")
    assert first.status_code == 201, first.content
    told = first.json()
    assert (told["state"], told["name"], told["spec"]["seed"]) == ("queued", "first", 7)
    assert told["spec"]["trainer"] == {"max_epochs": 3}
    assert told["spec"]["model"]["args"]["hidden"] == 16
    assert told["url"].endswith(f"/runs/{told['id']}/")
    assert api("POST", "/runs", given, Idempotency_Key="a").json()["id"] == told["id"]
    assert Run.objects.count() == 1


def test_options_out_of_range_start_nothing(api: Api, people: People) -> None:
    given = {**make_choices(people), "trainer": {"max_epochs": "many", "colour": 1}, "model_args": {"hidden": 0}}
    response = api("POST", "/runs", given)
    assert response.status_code == 422
    fields = error_of(response)["fields"]
    assert "trainer.max_epochs" in fields
    assert "trainer.colour" in fields
    assert not Run.objects.exists()


def test_a_run_takes_no_version_of_another_project(api: Api, people: People) -> None:
    for name, make in (
        ("model_version", factories.make_model_version),
        ("dataset_version", factories.make_dataset_version),
    ):
        foreign = make(project=people.other_project)
        assert api("POST", "/runs", {**make_choices(people), name: foreign.pk}).status_code == 404
    assert not Run.objects.exists()


def test_a_run_is_cancelled_and_run_again(api: Api, people: People) -> None:
    run = factories.make_run(people.project)
    assert api("POST", f"/runs/{run.pk}/cancel").json()["state"] == "cancelled"
    assert api("POST", f"/runs/{run.pk}/cancel").json()["state"] == "cancelled"
    again = api("POST", f"/runs/{run.pk}/rerun")
    assert again.status_code == 201, again.content
    assert (again.json()["parent"], again.json()["spec_hash"]) == (run.pk, run.spec_hash)
    done = factories.make_run(people.project, state=State.SUCCEEDED)
    refused = api("POST", f"/runs/{done.pk}/cancel")
    assert refused.status_code == 409
    assert "ended" in error_of(refused)["message"]
    assert [event["to_state"] for event in api.get(f"/runs/{run.pk}/events")["items"]] == ["cancelled"]


def test_a_run_is_paused_and_resumed(api: Api, people: People) -> None:
    run = factories.make_run(people.project, state=State.RUNNING)
    assert api("POST", f"/runs/{run.pk}/pause").json()["state"] == "pausing"
    assert api("POST", f"/runs/{run.pk}/pause").json()["state"] == "pausing"
    refused = api("POST", f"/runs/{run.pk}/resume")
    assert refused.status_code == 409
    assert "nothing to resume" in error_of(refused)["message"]
    Run.objects.filter(pk=run.pk).update(state=State.PAUSED)
    assert api("POST", f"/runs/{run.pk}/resume").json()["state"] == "queued"
    assert api("POST", f"/runs/{run.pk}/pause").status_code == 409


def test_a_series_is_sent_again_only_when_there_is_a_new_point(api: Api, people: People) -> None:
    run = factories.make_run(people.project, state=State.RUNNING)
    first = api("GET", f"/runs/{run.pk}/series?metric=loss")
    tag = first.headers["ETag"]
    assert api("GET", f"/runs/{run.pk}/series?metric=loss", If_None_Match=tag).status_code == 304
    assert api("GET", f"/runs/{run.pk}/series?metric=acc", If_None_Match=tag).status_code == 200
    Run.objects.filter(pk=run.pk).update(last_seq=1)
    assert api("GET", f"/runs/{run.pk}/series?metric=loss", If_None_Match=tag).status_code == 200
