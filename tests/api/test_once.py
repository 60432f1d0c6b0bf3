"""What is sent again, as its answer was lost, happens once."""

from __future__ import annotations

import pytest

from studio.accounts.models import Project, RequestKey
from tests.access.people import People
from tests.api.program import Api, error_of

pytestmark = pytest.mark.django_db


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
