"""Aliases by REST: asked for with a reviewer, approved, declined, rolled back once, protected, taken away."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from studio.accounts.models import Activity, Membership
from studio.runs import promote
from studio.runs.models import State
from studio.runs.registered_models import Alias, AliasMove, RegisteredVersion
from tests import factories
from tests.access.people import People
from tests.api.program import Api, error_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def versions(people: People) -> list[RegisteredVersion]:
    run = factories.make_run(people.project, state=State.SUCCEEDED)
    made = [factories.write_checkpoint(run, step=step) for step in (10, 20, 30)]
    return [promote.promote(checkpoint=one, user=people.owner, name="digits", alias="production") for one in made]


def named() -> int:
    return Alias.objects.select_related("version").get(name="production").version.number


def test_a_reviewer_is_told_and_decides(api: Api, people: People, versions: list[RegisteredVersion]) -> None:
    given = {"alias": "production", "why": "smaller", "reviewer": people.owner.username}
    path = f"/registered-versions/{versions[0].pk}/aliases"
    move = api("POST", path, given).json()
    assert (move["stage"], move["reviewer"], move["before"], move["version"]) == ("waiting", "owner", 3, 1)
    assert api("POST", path, given).json()["id"] == move["id"], "sent again as its answer was lost"
    assert api.get(f"/registered-versions/{versions[0].pk}")["asked"] == ["production"]
    told = Activity.objects.get(kind="alias.ask")
    assert (told.people, told.url) == ({str(people.owner.pk): "asked"}, f"/registered-models/{versions[0].model_id}/")
    assert named() == 3
    approve = f"/alias-moves/{move['id']}/approve"
    assert "Somebody else" in error_of(api("POST", approve))["message"]
    third = factories.make_user()
    Membership.objects.create(team=people.team, user=third, role="editor")
    assert "owner was asked" in error_of(Api(third)("POST", approve))["message"]
    owner = Api(people.owner)
    done = owner("POST", approve, Idempotency_Key="a").json()
    assert owner("POST", approve, Idempotency_Key="a").json() == done, "sent again as its answer was lost"
    assert (done["stage"], done["decided_by"], named()) == ("done", "owner", 1)
    assert error_of(owner("POST", f"/alias-moves/{move['id']}/decline"))["code"] == "conflict"


def test_a_new_alias_waits_too_and_can_be_taken_back(api: Api, people: People, versions: Any) -> None:
    checkpoint = factories.write_checkpoint(factories.make_run(people.project, state=State.SUCCEEDED))
    given = {"name": "digits", "alias": "small", "reviewer": "owner"}
    made = api("POST", f"/checkpoints/{checkpoint.pk}/promote", given).json()
    assert (made["number"], made["aliases"], made["asked"]) == (4, [], ["small"])
    (move,) = api.get(f"/registered-models/{made['model']}/moves?stage=waiting")["items"]
    assert api("POST", f"/alias-moves/{move['id']}/decline").json()["stage"] == "declined"
    given["alias"] = "tiny"
    api("POST", f"/checkpoints/{checkpoint.pk}/promote", given)
    (move,) = api.get(f"/registered-models/{made['model']}/moves?stage=waiting")["items"]
    Api(people.owner)("POST", f"/alias-moves/{move['id']}/approve")
    assert api.get(f"/registered-versions/{made['id']}")["aliases"] == ["tiny"]


@pytest.mark.parametrize(
    ("reviewer", "words"), [("viewer", "no editor"), ("stranger", "no editor"), ("nobody", "no editor")]
)
def test_who_cannot_approve_is_refused(api: Api, versions: Any, reviewer: str, words: str) -> None:
    response = api("POST", f"/registered-versions/{versions[0].pk}/aliases", {"alias": "a", "reviewer": reviewer})
    assert (response.status_code, words in error_of(response)["fields"]["reviewer"]) == (422, True)
    assert not AliasMove.objects.filter(alias="a").exists()


def test_one_cannot_review_oneself_nor_without_an_alias(api: Api, people: People, versions: Any) -> None:
    response = api("POST", f"/registered-versions/{versions[0].pk}/aliases", {"alias": "a", "reviewer": "editor"})
    assert "Somebody else" in error_of(response)["fields"]["reviewer"]
    given = {"name": "digits", "reviewer": "owner"}
    response = api("POST", f"/checkpoints/{versions[0].checkpoint_id}/promote", given)
    assert "Name the alias" in error_of(response)["fields"]["reviewer"]


def test_a_roll_back_that_is_sent_twice_happens_once(api: Api, versions: list[RegisteredVersion]) -> None:
    back = partial(api, "POST", f"/registered-models/{versions[0].model_id}/roll-back", {"alias": "production"})
    first = back(Idempotency_Key="a").json()
    assert (first["version"], first["is_rollback"]) == (2, True)
    assert back(Idempotency_Key="a").json() == first
    assert named() == 2
    assert (back(Idempotency_Key="b").json()["version"], named()) == (1, 1)


def test_a_protected_alias_needs_two_people_and_an_administrator_protects_it(
    api: Api, people: People, versions: list[RegisteredVersion]
) -> None:
    path, owner = f"/registered-models/{versions[0].model_id}", Api(people.owner)
    assert api("POST", f"{path}/protect", {"alias": "production"}).status_code == 403
    assert owner("POST", f"{path}/protect", {"alias": "production"}).json()["aliases"][0]["is_protected"]
    refused = api("DELETE", f"{path}/aliases/production")
    assert (refused.status_code, "is protected" in error_of(refused)["message"]) == (409, True)
    move = api("POST", f"/registered-versions/{versions[0].pk}/aliases", {"alias": "production"}).json()
    assert (move["stage"], named()) == ("waiting", 3)
    assert (
        "Move that to another version first"
        in error_of(api("DELETE", f"/registered-versions/{versions[0].pk}"))["message"]
    )
    assert owner("POST", f"/alias-moves/{move['id']}/approve").json()["version"] == 1
    assert not owner("POST", f"{path}/protect", {"alias": "production", "on": False}).json()["aliases"][0][
        "is_protected"
    ]
    gone = api("DELETE", f"{path}/aliases/production?why=nobody%20uses%20it").json()
    assert (gone["version"], gone["why"]) == (None, "nobody uses it")
    assert api.get(path)["aliases"] == []
    assert api("DELETE", f"/registered-versions/{versions[0].pk}").status_code == 204
    assert [one["number"] for one in api.get(f"{path}/versions")["items"]] == [3, 2]
    assert error_of(api("POST", f"{path}/protect", {"alias": "production"}))["code"] == "forbidden"
    assert "has no alias" in error_of(owner("POST", f"{path}/protect", {"alias": "production"}))["message"]
