"""Presets of a team fill in the form; rules of its administrators hold in the form, for the API and for repeats."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.runs import presets, rules
from studio.runs.errors import RunError
from studio.runs.models import FieldRule, Preset, Run, State
from studio.runs.submit import rerun, submit_run
from tests.access.people import People
from tests.factories import make_dataset_version, make_model_version, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


@pytest.fixture
def versions(people: People) -> dict[str, Any]:
    model, dataset = make_model_version(project=people.project), make_dataset_version(project=people.project)
    return {"model_version": model, "dataset_version": dataset}


@pytest.fixture
def given(versions: dict[str, Any]) -> dict[str, Any]:
    return {"model": versions["model_version"].pk, "dataset": versions["dataset_version"].pk}


def form_page(client: Client, people: People, given: dict[str, Any], **more: Any) -> str:
    response = client.get(reverse("run-create", args=[people.project.pk]), {**given, **more})
    assert response.status_code == 200
    return response.content.decode()


def value(text: str, name: str) -> str:
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', text)
    return found[1] if found else ""


def save(client: Client, people: People, name: str, /, **values: str) -> Preset:
    client.post(reverse("preset-save", args=[people.project.pk]), {"preset_name": name, **values})
    return Preset.objects.get(name=name)


def test_a_preset_is_saved_from_the_form_and_fills_it_in(people: People, editor: Client, given: dict[str, Any]) -> None:
    filled = {"name": "not kept", "seed": "7", "model.lr": "3e-4", "trainer.max_epochs": "9", "data.batch_size": ""}
    preset = save(editor, people, "careful", **filled)
    assert preset.values == {"model.lr": "3e-4", "trainer.max_epochs": "9"}
    assert value(form_page(editor, people, given), "model.lr") == "", "only who chooses it gets it"
    text = form_page(editor, people, given, preset=preset.pk)
    assert (value(text, "model.lr"), value(text, "trainer.max_epochs")) == ("3e-4", "9")
    kept = {**given, "preset": preset.pk, "preset_was": preset.pk, "model.lr": "5", "refresh": "1"}
    text = editor.post(reverse("run-create", args=[people.project.pk]), kept).content.decode()
    assert value(text, "model.lr") == "5", "what is changed afterwards stays"
    assert save(editor, people, "careful", **{"model.lr": "1"}).pk == preset.pk, "the same name replaces it"


def test_new_runs_begin_with_the_default(people: People, editor: Client, given: dict[str, Any]) -> None:
    preset = save(editor, people, "usual", **{"model.lr": "0.5"})
    other = save(editor, people, "other", **{"model.lr": "0.1"})
    admin = people.client("owner")
    for one in (other, preset):
        admin.post(reverse("preset-default", args=[one.pk]))
    assert list(Preset.objects.filter(is_default=True)) == [preset]
    assert value(form_page(editor, people, given), "model.lr") == "0.5"
    assert value(form_page(editor, people, given, preset=""), "model.lr") == ""
    parent = make_run(people.project)
    assert value(form_page(editor, people, {"parent": parent.pk}), "model.lr") == "", "a rerun has its own values"
    admin.post(reverse("preset-default", args=[preset.pk]), {"off": "1"})
    assert not Preset.objects.filter(is_default=True).exists()
    editor.post(reverse("preset-save", args=[people.project.pk]), {"preset_name": "mine", "preset_default": "1"})
    assert not Preset.objects.filter(is_default=True).exists(), "an editor does not decide for all"


def test_a_preset_without_a_name_or_with_too_much_is_refused(people: People) -> None:
    team, user = people.project.team, people.editor
    with pytest.raises(RunError, match="needs a name"):
        presets.save(team=team, user=user, name="  ", values={})
    with pytest.raises(RunError, match="at most 200 values"):
        presets.save(team=team, user=user, name="much", values={f"model.a{i}": "1" for i in range(201)})


def test_a_fixed_value_is_shown_held_and_filled_in(
    people: People, editor: Client, given: dict[str, Any], versions: dict[str, Any]
) -> None:
    rules.set_rule(team=people.project.team, field="extras.nonfinite", locked="skip", why="our cluster")
    rules.set_rule(team=people.project.team, field="model.lr", locked="0.01")
    text = form_page(editor, people, given)
    assert re.search(r'name="model.lr" value="0.01"[^>]* disabled', text)
    assert "Set by the team: our cluster." in text
    editor.post(reverse("run-create", args=[people.project.pk]), {**given, "model.lr": "5"})
    run = Run.objects.latest("pk")
    assert (run.spec["model"]["args"], run.spec["extras"]) == ({"lr": 0.01}, {"nonfinite": "skip"})
    start = {"project": people.project, "user": people.editor, **versions}
    assert submit_run(**start).spec["extras"] == {"nonfinite": "skip"}
    with pytest.raises(RunError) as refused:
        submit_run(**start, extras={"nonfinite": "stop"}, model_args={"lr": "0.02"})
    assert set(refused.value.errors) == {"extras.nonfinite", "model.lr"}
    assert "for all runs of the team: our cluster." in refused.value.errors["extras.nonfinite"]


@pytest.mark.parametrize(
    ("epochs", "words"), [("11", "got 11"), ("-1", "no limit"), (None, "no limit"), ("12ep", "got 12")]
)
def test_a_limit_holds_for_everybody(people: People, versions: dict[str, Any], epochs: str | None, words: str) -> None:
    rules.set_rule(team=people.project.team, field="trainer.max_epochs", most=10, why="the nights are short")
    trainer = {} if epochs is None else {"max_epochs": epochs}
    start = {"project": people.project, "user": people.editor, **versions}
    with pytest.raises(RunError, match=words) as refused:
        submit_run(**start, trainer=trainer)
    assert "The team allows at most 10: the nights are short." in refused.value.errors["trainer.max_epochs"]
    assert submit_run(**start, trainer={"max_epochs": 10}).pk


def test_a_limit_shows_in_the_form_and_a_repeat_obeys_it(people: People, editor: Client, given: dict[str, Any]) -> None:
    before = make_run(people.project, state=State.SUCCEEDED)  # 2 epochs
    rules.set_rule(team=people.project.team, field="trainer.max_epochs", most=1)
    response = editor.post(reverse("run-create", args=[people.project.pk]), {**given, "trainer.max_epochs": "3"})
    assert "it takes a whole number from -1 to 1" in response.content.decode()
    with pytest.raises(RunError, match="got 2"):
        rerun(run=before, user=people.editor)
    FieldRule.objects.all().delete()
    rules.set_rule(team=people.project.team, field="trainer.accumulate_grad_batches", locked="1")
    assert rerun(run=before, user=people.editor).pk, "what is fixed to its default changes nothing"
    rules.set_rule(team=people.project.team, field="trainer.max_epochs", locked="1")
    with pytest.raises(RunError, match="max_epochs is 1 for all runs"):
        rerun(run=before, user=people.editor)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"field": "trainer.epochs", "most": 3}, "allowed is a field of the form"),
        ({"field": "queue.pool", "locked": "a"}, "allowed is a field of the form"),
        ({"field": "model.lr"}, "Say the value that is fixed"),
        ({"field": "model.lr", "least": 2, "most": 1}, "is more than the most"),
        ({"field": "extras.nonfinite", "most": 1}, "is no number"),
        ({"field": "trainer.max_epochs", "locked": "many"}, "got 'many'"),
    ],
)
def test_a_rule_without_sense_is_refused(people: People, rule: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        rules.set_rule(team=people.project.team, **rule)


def test_the_page_of_a_team_shows_both_and_costs_little(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        Preset.objects.create(team=people.project.team, name=f"p{number}", created_by=people.editor)
    admin, url = people.client("owner"), reverse("rule-set", args=[people.project.team_id])
    assert admin.post(url, {"field": "trainer.max_epochs", "most": "5", "why": "short"}).status_code == 302
    assert "allowed is a field of the form" in admin.post(url, {"field": "x", "most": "5"}).content.decode()
    with django_assert_max_num_queries(12):
        text = editor.get(reverse("run-defaults", args=[people.project.team_id])).content.decode()
    assert "p19" in text
    assert "<code>trainer.max_epochs</code>" in text
    assert "Set the rule" not in text, "an editor only looks"
