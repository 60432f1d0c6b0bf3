"""The REST interface by token: what it answers, and in which words it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from redis.exceptions import ConnectionError as RedisConnectionError

from studio.accounts.models import AuditEntry, Membership, Project, RequestKey
from studio.accounts.tokens import revoke_token
from studio.api.render import StrictJSON
from studio.registry.models import ModelVersion
from studio.runs import presets
from studio.runs.models import Run, State
from tests import factories
from tests.access.people import People

pytestmark = pytest.mark.django_db


class Api:
    """A program with a token."""

    def __init__(self, user: Any, scope: str = "write") -> None:
        self.row, self.token = factories.make_token(user, scope=scope)
        self.client = Client(enforce_csrf_checks=True)

    def __call__(self, method: str, path: str, given: Any = None, **headers: str) -> Any:
        every = {"Authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        body = {} if given is None else {"data": given, "content_type": "application/json"}
        return getattr(self.client, method.lower())(f"/api/v1{path}", headers=every, **body)

    def get(self, path: str) -> Any:
        response = self("GET", path)
        assert response.status_code == 200, response.content
        return response.json()


@pytest.fixture
def api(people: People) -> Api:
    return Api(people.editor)


def error_of(response: Any) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) <= {"code", "message", "fields", "received"}
    assert error["message"].endswith((".", "…"))
    return error


def test_me_tells_the_account_the_roles_and_the_token(api: Api, people: People) -> None:
    me = api.get("/me")
    assert me["username"] == "editor"
    assert me["teams"] == [{"id": people.team.pk, "name": "Crew", "role": "editor"}]
    assert me["token"]["scope"] == "write"
    assert "digest" not in json.dumps(me)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic YTpi", "bearer  ", "Bearer \x00", "Bearer " + "x" * 5000]
)
def test_without_a_good_token_nothing_is_told(people: People, header: str) -> None:
    response = Client().get("/api/v1/projects", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    error_of(response)


def test_a_bad_token_is_not_made_up_for_by_a_session(people: People) -> None:
    response = people.client("owner").get("/api/v1/projects", headers={"Authorization": "Bearer x"})
    assert response.status_code == 401


def test_a_revoked_token_opens_nothing(api: Api, people: People) -> None:
    api.get("/me")
    revoke_token(token=api.row, by=people.editor)
    assert api("GET", "/me").status_code == 401


def test_a_token_for_reading_changes_nothing(people: People) -> None:
    api = Api(people.owner, scope="read")
    run = factories.make_run(people.project)
    api.get(f"/runs/{run.pk}")
    for path, given in (("/projects", {"name": "x"}), (f"/runs/{run.pk}/cancel", None), ("/runs", {})):
        response = api("POST", path, given)
        assert response.status_code == 403
        assert error_of(response)["code"] == "read_only"
    assert Run.objects.get(pk=run.pk).state == State.QUEUED


def test_a_browser_needs_its_csrf_token(people: People) -> None:
    client = people.client("owner", enforce_csrf_checks=True)
    assert client.get("/api/v1/projects").status_code == 200
    refused = client.post("/api/v1/projects", {"name": "x"}, content_type="application/json")
    assert refused.status_code == 403
    assert error_of(refused)["code"] == "csrf"
    assert Project.objects.filter(name="x").count() == 0


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


def test_a_project_is_made_once_for_a_key(api: Api, people: People) -> None:
    given = {"name": "Sorting", "team": people.team.pk}
    first = api("POST", "/projects", given, Idempotency_Key="a")
    again = api("POST", "/projects", given, Idempotency_Key="a")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Project.objects.filter(name="Sorting").count() == 1
    other = api("POST", "/projects", {**given, "name": "Other"}, Idempotency_Key="a")
    assert (other.status_code, error_of(other)["code"]) == (422, "key_reused")
    assert api("POST", "/projects", given).status_code == 201


def test_a_refused_request_gives_its_key_back(api: Api, people: People) -> None:
    assert api("POST", "/projects", {"name": "x", "team": 10**6}, Idempotency_Key="a").status_code == 404
    assert api("POST", "/projects", {"name": "x", "team": people.team.pk}, Idempotency_Key="a").status_code == 201


def test_a_key_that_is_being_worked_on_waits(api: Api, people: People) -> None:
    from django.utils import timezone

    RequestKey.objects.create(user=people.editor, key="a", fingerprint="x", created_at=timezone.now())
    response = api("POST", "/projects", {"name": "x", "team": people.team.pk}, Idempotency_Key="a")
    assert (response.status_code, error_of(response)["code"]) == (409, "in_progress")
    assert api("POST", "/projects", {"name": "x"}, Idempotency_Key="b" * 65).status_code == 422


def test_keys_of_two_people_do_not_meet(api: Api, people: People) -> None:
    given = {"name": "Sorting", "team": people.team.pk}
    assert api("POST", "/projects", given, Idempotency_Key="a").status_code == 201
    assert Api(people.owner)("POST", "/projects", given, Idempotency_Key="a").status_code == 201


def test_pages_go_on_where_the_last_one_ended(api: Api, people: People) -> None:
    runs = [factories.make_run(people.project).pk for _ in range(5)]
    first = api.get("/runs?limit=2")
    factories.make_run(people.project)  # made meanwhile: shifts nothing
    second = api.get(f"/runs?limit=2&cursor={first['next']}")
    third = api.get(f"/runs?limit=2&cursor={second['next']}")
    found = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert found == runs[::-1]
    assert third["next"] is None


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


def test_what_changes_is_audited(api: Api, people: People) -> None:
    api("POST", "/projects", {"name": "Sorting", "team": people.team.pk})
    assert AuditEntry.objects.get(action="project.create").actor == people.editor


@pytest.mark.usefixtures("redis_server")
def test_too_many_requests_are_told_when_to_go_on(api: Api, people: People, settings: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    answers = [api("GET", "/me") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert error_of(answers[-1])["code"] == "too_many"
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert Api(people.owner)("GET", "/me").status_code == 200


@pytest.mark.usefixtures("redis_server")
def test_guessing_tokens_is_counted_by_address(people: People, settings: Any) -> None:
    settings.API_MISSES_PER_MINUTE = 3
    client = Client(headers={"Authorization": "Bearer studio_guess"})
    assert [client.get("/api/v1/me").status_code for _ in range(5)] == [401, 401, 401, 429, 429]


def test_without_the_queue_server_nobody_is_refused(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr("studio.core.limits.connection", away)
    settings.API_REQUESTS_PER_MINUTE = 1
    assert [api("GET", "/me").status_code for _ in range(3)] == [200, 200, 200]


def test_a_series_is_sent_again_only_when_there_is_a_new_point(api: Api, people: People) -> None:
    run = factories.make_run(people.project, state=State.RUNNING)
    first = api("GET", f"/runs/{run.pk}/series?metric=loss")
    tag = first.headers["ETag"]
    assert api("GET", f"/runs/{run.pk}/series?metric=loss", If_None_Match=tag).status_code == 304
    assert api("GET", f"/runs/{run.pk}/series?metric=acc", If_None_Match=tag).status_code == 200
    Run.objects.filter(pk=run.pk).update(last_seq=1)
    assert api("GET", f"/runs/{run.pk}/series?metric=loss", If_None_Match=tag).status_code == 200
