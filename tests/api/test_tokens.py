"""Who the REST interface answers: tokens, sessions, and how often."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError

from studio.accounts.models import AuditEntry, Project
from studio.accounts.tokens import revoke_token
from studio.runs.models import Run, State
from tests import factories
from tests.access.people import People
from tests.api.program import Api, error_of

pytestmark = pytest.mark.django_db


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
