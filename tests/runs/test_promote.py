"""The registry of trained models: numbers, aliases, history, two people, and retention."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from studio.runs import promote
from studio.runs.checkpoints import KEEP_LAST, path_of, retire
from studio.runs.errors import RunError, StaleState
from studio.runs.models import Checkpoint, Run, State
from studio.runs.registered_models import Alias, AliasMove, RegisteredModel, RegisteredVersion
from tests.access.people import People
from tests.factories import make_project, make_run, make_user, write_checkpoint
from tests.runs.test_concurrency import at_once

XSS = "<img src=x onerror=alert(1)>"


def version_of(run: Run, step: int, name: str = "digits", **more: Any) -> RegisteredVersion:
    return promote.promote(checkpoint=write_checkpoint(run, step=step), user=None, name=name, **more)


@pytest.fixture
def run(db: None) -> Run:
    return make_run(state=State.SUCCEEDED)


def named(model: RegisteredModel, alias: str = "production") -> int | None:
    found = Alias.objects.filter(model=model, name=alias).select_related("version").first()
    return found.version.number if found else None


def test_numbers_are_never_used_again_and_the_same_checkpoint_is_one_version(run: Run) -> None:
    one = version_of(run, 10)
    assert promote.promote(checkpoint=one.checkpoint, user=None, name="digits") == one
    two = version_of(run, 20)
    promote.delete_version(version=two, user=None)
    three = promote.promote(checkpoint=two.checkpoint, user=None, name="digits")
    assert [one.number, two.number, three.number] == [1, 2, 3]
    with pytest.raises(StaleState, match="deleted"):
        promote.move_alias(version=two, user=None, alias="production")


def test_an_alias_moves_and_rolls_back_past_deleted_versions(run: Run) -> None:
    versions = [version_of(run, step, alias="production") for step in (10, 20, 30, 40)]
    model = versions[0].model
    promote.delete_version(version=versions[2], user=None)
    steps = []
    for _ in range(2):
        promote.roll_back(model=model, user=None, alias="production", why="worse on Mondays")
        steps.append(named(model))
    assert steps == [2, 1]
    with pytest.raises(RunError, match="no other version"):
        promote.roll_back(model=model, user=None, alias="production")
    promote.move_alias(version=versions[3], user=None, alias="production")
    promote.roll_back(model=model, user=None, alias="production")
    assert named(model) == 1
    assert [m.to.number for m in model.moves.order_by("pk") if m.to] == [1, 2, 3, 4, 2, 1, 4, 1]
    promote.remove_alias(model=model, user=None, alias="production")
    assert named(model) is None
    with pytest.raises(RunError, match="no alias 'production'; it has none"):
        promote.roll_back(model=model, user=None, alias="production")


def test_a_protected_alias_needs_a_second_person(run: Run) -> None:
    anna, bert = make_user(), make_user()
    one, two = version_of(run, 10, alias="production"), version_of(run, 20)
    model = one.model
    promote.protect(model=model, user=anna, alias="production", on=True)
    move = promote.move_alias(version=two, user=anna, alias="production", why="better")
    assert (move.stage, named(model)) == ("waiting", 1)
    for order in (
        partial(promote.move_alias, version=two, user=bert, alias="production"),
        partial(promote.remove_alias, model=model, user=bert, alias="production"),
        partial(promote.delete_version, version=two, user=bert),
        partial(promote.decide, move=move, user=anna, approve=True),
    ):
        with pytest.raises(RunError):
            order()
        assert named(model) == 1
    promote.decide(move=move, user=bert, approve=True)
    assert named(model) == 2
    with pytest.raises(StaleState):
        promote.decide(move=move, user=bert, approve=False)
    back = promote.roll_back(model=model, user=anna, alias="production")
    assert (back.stage, named(model)) == ("waiting", 2)
    promote.decide(move=back, user=anna, approve=False)
    assert named(model) == 2


def test_promoted_checkpoints_are_never_retired(run: Run) -> None:
    kept = version_of(run, 10)
    others = [write_checkpoint(run, step=step) for step in range(20, 80, 10)]
    assert retire(run.pk) == len(others) - KEEP_LAST
    assert path_of(kept.checkpoint).is_file()
    promote.delete_version(version=kept, user=None)
    assert retire(run.pk) == 1
    assert not path_of(kept.checkpoint).is_file()
    with pytest.raises(RunError, match="files of this checkpoint are gone"):
        promote.promote(checkpoint=kept.checkpoint, user=None, name="digits")


@pytest.mark.parametrize(
    ("name", "alias", "field"),
    [(XSS, "", "name"), ("", "", "name"), ("a@b", "", "name"), ("a", "v3", "alias"), ("a", "Production", "alias")],
)
def test_names_that_could_not_be_referred_to_are_refused(run: Run, name: str, alias: str, field: str) -> None:
    with pytest.raises(RunError) as error:
        version_of(run, 10, name, alias=alias)
    assert set(error.value.errors) == {field}
    assert not RegisteredModel.objects.exists()


def test_references(run: Run) -> None:
    one, two = version_of(run, 10, alias="production"), version_of(run, 20)
    find = partial(promote.resolve, run.project)
    found = [find(r) for r in ("digits", "digits@production", "digits@v1", "digits@2", "digits@v3", "digits@x", "no")]
    assert found == [two, one, one, two, None, None, None]
    assert promote.resolve(make_project(), "digits") is None


def test_pages_show_lineage_and_history_and_escape_what_people_write(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED, name=XSS)
    client = people.client("editor")
    checkpoint = write_checkpoint(run, step=10)
    given = {"name": "digits", "alias": "production", "why": XSS, "note": XSS}
    page = client.post(f"/checkpoints/{checkpoint.pk}/promote/", given, follow=True).content.decode()
    assert "digits@v1" in page
    assert XSS not in page
    version = RegisteredVersion.objects.get()
    assert f"/dataset-versions/{run.dataset_version_id}/" in page
    page = client.get(f"/registered-models/{version.model_id}/").content.decode()
    assert "&lt;img src=x" in page
    assert XSS not in page
    assert "digits v1" in client.get(f"/runs/{run.pk}/checkpoints/").content.decode()
    response = client.post(f"/registered-versions/{version.pk}/alias/", {"alias": "v3"})
    assert response.status_code == 422
    assert "does not look like v3" in response.content.decode()
    refused = client.post(f"/registered-versions/{version.pk}/delete/", follow=True).content.decode()
    assert "Move that to another version first" in refused


def test_pages_cost_the_same_for_many_as_for_few(people: People) -> None:
    client = people.client("owner")

    def cost(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    run = make_run(people.project, state=State.SUCCEEDED)
    first = version_of(run, 10, alias="a")
    write_checkpoint(run, step=1, pinned=True)
    paths = [f"/projects/{people.project.pk}/checkpoints/", f"/registered-models/{first.model_id}/"]
    paths += [f"/registered-versions/{first.pk}/", f"/runs/{run.pk}/checkpoints/"]
    paths += ["/api/v1/registered-models", f"/api/v1/registered-models/{first.model_id}/versions"]
    paths += [f"/api/v1/registered-models/{first.model_id}/moves"]
    few = [cost(path) for path in paths]
    for number in range(8):
        other = make_run(people.project, state=State.SUCCEEDED)
        version_of(other, 10, alias=f"b{number}")
        version_of(other, 20, name=f"other {number}", alias="c")
        write_checkpoint(other, step=1, pinned=True)
        version_of(run, 20 + number, alias="a")
        reviewed = {"user": people.editor, "alias": f"w{number}", "reviewer": people.owner}
        promote.promote(checkpoint=write_checkpoint(other, step=30), name="digits", **reviewed)
    many = [cost(path) for path in paths]
    assert many == few
    assert max(few) <= 20, few


@pytest.mark.django_db(transaction=True)
def test_at_once_aliases_always_name_one_living_version() -> None:
    run = make_run(state=State.SUCCEEDED)
    users = [make_user() for _ in range(2)]
    checkpoints = [write_checkpoint(run, step=step) for step in range(1, 9)]
    promote.promote(checkpoint=checkpoints[0], user=users[0], name="digits", alias="production")
    model = RegisteredModel.objects.get()

    def client(seed: int) -> list[str]:
        chance, refused = random.Random(seed), []
        for _ in range(12):
            checkpoint, user = chance.choice(checkpoints), chance.choice(users)
            try:
                match chance.choice(["promote", "alias", "back", "delete", "retire"]):
                    case "promote":
                        promote.promote(checkpoint=checkpoint, user=user, name="digits")
                    case "alias":
                        promote.promote(checkpoint=checkpoint, user=user, name="digits", alias="production")
                    case "back":
                        promote.roll_back(model=model, user=user, alias="production")
                    case "delete":
                        if living := model.versions.living().order_by("?").first():
                            promote.delete_version(version=living, user=user)
                    case "retire":
                        retire(run.pk)
            except RunError as error:
                refused.append(str(error))
            alias = Alias.objects.select_related("version__checkpoint").get(model=model)
            if alias.version.deleted_at is not None or alias.version.checkpoint.deleted_at is not None:
                raise AssertionError(f"an alias names what is gone: {alias.version}")
        return refused

    results = at_once(*(partial(client, seed) for seed in range(4)))
    assert not [r for r in results if isinstance(r, Exception)]
    numbers = list(model.versions.order_by("pk").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    last = AliasMove.objects.filter(model=model).order_by("-pk").first()
    assert last is not None
    assert last.to_id == Alias.objects.get(model=model).version_id
    living = RegisteredVersion.objects.living().values("checkpoint")
    assert set(Checkpoint.objects.filter(is_promoted=True)) == set(Checkpoint.objects.filter(pk__in=living))
    assert all(path_of(c).is_file() for c in Checkpoint.objects.filter(is_promoted=True))
