"""Form, YAML, command, script and API are the same run: whatever is chosen comes back with the same hash."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from studio.api.schemas_runs import RunGiven
from studio.runs import texts
from studio.runs.errors import RunError
from studio.runs.forms import RunForm
from studio.runs.submit import build_spec
from studio.runs.views.text import values_of_text
from tests.access.people import People
from tests.factories import make_dataset_version, make_model_version
from tests.runs.random_forms import Forms
from trainer_core.errors import SpecError
from trainer_core.spec import DataRef, ModelRef, RunSpec, StartRef
from trainer_core.train import spec_from

pytestmark = pytest.mark.django_db
SAMPLE = 40


def from_command(command: str) -> RunSpec:
    """As a shell and the module would read it."""
    words = shlex.split(command.replace("\\\n", ""))
    assert words[:3] == ["python", "-m", "trainer_core.train"]
    return spec_from(words[3:])[0]


def from_script(script: str) -> RunSpec:
    place: dict[str, Any] = {"__name__": "a script"}
    exec(compile(script, "script.py", "exec"), place)
    return place["spec"]


def from_api(form: RunForm) -> RunSpec:
    """Through the schema of the API and JSON."""
    chosen = form.chosen()
    keys = ("trainer", "model_args", "data_args", "extras", "seed")
    given = RunGiven(
        project=1,
        model_version=form.model_version.pk,
        dataset_version=form.dataset_version.pk,
        **{key: chosen[key] for key in keys},
    )
    read = RunGiven.model_validate_json(given.model_dump_json())
    return build_spec(
        model_version=form.model_version,
        dataset_version=form.dataset_version,
        **{key: getattr(read, key) for key in keys},
    )


def check_round_trips(forms: Forms, values: dict[str, str]) -> RunSpec:
    """Every way there and back; returns the run."""
    form = forms.form(values)
    assert form.is_valid(), (values, form.errors)
    spec = form.spec()
    again = forms.form(values_of_text(form, texts.as_yaml(spec)))
    assert again.is_valid(), (values, again.errors)
    assert again.spec().hash == spec.hash, texts.as_yaml(spec)
    assert from_command(texts.as_command(spec)).hash == spec.hash, texts.as_command(spec)
    assert from_script(texts.as_script(spec)).hash == spec.hash
    assert from_api(form).hash == spec.hash
    return spec


def test_every_way_leads_to_the_same_run() -> None:
    forms = Forms()
    seen = {check_round_trips(forms, forms.draw(number)).hash for number in range(SAMPLE)}
    assert len(seen) == SAMPLE


def test_the_yaml_of_the_form_runs_in_a_shell_too(tmp_path: Path) -> None:
    form = Forms().form({"seed": "7", "model.lr": "1/100", "trainer.max_epochs": "3"})
    assert form.is_valid()
    path = tmp_path / "run.yaml"
    path.write_text(texts.as_yaml(form.spec()))
    spec, folder = spec_from([str(path), "--folder", "there", "--trainer.max_epochs=4"])
    assert (spec.model.source, spec.model.ref, spec.model.args) == ("zoo", "MLP", {"lr": 0.01})
    assert (spec.trainer, spec.seed, folder) == ({"max_epochs": 4}, 7, "there")


def test_only_who_runs_the_studio_sees_where_its_files_lie() -> None:
    spec = RunSpec(
        model=ModelRef("zoo", "TabularMLP"),
        data=DataRef("zoo", "CSVTable", files={"path": f"{settings.DATA_DIR}/blobs/ab"}),
        start=StartRef("weights", "0" * 64, f"{settings.DATA_DIR}/runs/1/a.ckpt"),
    )
    hidden = texts.without_places(spec)
    for text in (texts.as_command(hidden), texts.as_script(hidden), texts.as_yaml(hidden)):
        assert str(settings.DATA_DIR) not in text
    again = from_command(texts.as_command(hidden))
    assert again.data.files == {"path": "$STUDIO_DATA_DIR/blobs/ab"}
    assert again.hash == from_script(texts.as_script(hidden)).hash == spec.hash


@pytest.fixture
def given(people: People) -> dict[str, Any]:
    model, dataset = make_model_version(project=people.project), make_dataset_version(project=people.project)
    return {"model": model.pk, "dataset": dataset.pk, "seed": "7", "model.lr": "1/100", "trainer.max_epochs": "3"}


def answer(people: People, client: Client, data: dict[str, Any]) -> dict[str, Any]:
    response = client.post(reverse("run-text", args=[people.project.pk]), data)
    assert response.status_code == 200
    return dict(response.json())


def test_a_text_fills_the_form_and_a_form_the_text(people: People, given: dict[str, Any]) -> None:
    client = people.client("editor")
    first = answer(people, client, given)
    assert "lr: 0.01" in first["yaml"]
    assert first["errors"] == []
    edited = (
        first["yaml"].replace("lr: 0.01", "lr: 3e-4").replace("max_epochs: 3", "max_epochs: 5\n  max_time: 1h30min")
    )
    second = answer(people, client, {**given, "yaml": edited})
    assert (second["values"]["model.lr"], second["values"]["trainer.max_epochs"]) == ("3e-4", "5")
    assert second["values"]["trainer.max_time"] == "1h30min"
    assert "--model.lr 0.0003" in second["command"]
    assert from_command(second["command"]).hash == from_script(second["script"]).hash == second["hash"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("trainer: {max_epoch: 3}", "trainer.max_epoch", "is no value of trainer"),
        ("epochs: 3", "epochs", "is not known here"),
        ("model: {ref: 'zoo:Other'}", "model.ref", "choose another one above"),
        ("trainer: {max_epochs: many}", "trainer.max_epochs", "does not fit"),
        ("trainer:\n  - 3", "trainer", "has to be a mapping"),
        ("seed: [", "", "is not valid YAML"),
        ("a: &a [1]\nb: *a", "", "aliases are not taken"),
        ("3", "", "has to be a mapping"),
    ],
)
def test_what_is_wrong_in_a_text_is_said_where(
    people: People, given: dict[str, Any], text: str, place: str, words: str
) -> None:
    found = answer(people, people.client("editor"), {**given, "yaml": text})["errors"]
    assert any(where == place and words in told for where, told, _ in found), found


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ("seed: 7\n\ntrainer:\n  # how long\n  max_epoch: 3\n", "trainer.max_epoch", 5),
        ("seed: 7\nmodel:\n  args:\n    rate: 1\n", "model.rate", 4),
        ("seed: 7\nmodel:\n  args: {lr: [}\n", "", 3),
        ("seed: 7\nmodel:\n  args:\n    lr: much\n", "model.lr", 4),
        ("seed: 7\ndata:\n  ref: zoo:Other\n", "data.ref", 3),
        ("seed: 7\ntrainer: {max_epochs: 3,\n  max_steps: many}\n", "trainer.max_steps", 3),
        ("model:\n  - 3\n", "model", 1),
        ("3", "", None),
        ("seed: 7\n" * 20_000, "", None),
    ],
)
def test_what_is_wrong_in_a_text_has_its_line(
    people: People, given: dict[str, Any], text: str, place: str, line: int | None
) -> None:
    found = answer(people, people.client("editor"), {**given, "yaml": text})["errors"]
    assert (place, line) in [(where, at) for where, _, at in found], found


def test_what_is_wrong_in_the_form_has_no_line(people: People, given: dict[str, Any]) -> None:
    found = answer(people, people.client("editor"), {**given, "trainer.max_epochs": "many"})["errors"]
    assert [(where, at) for where, _, at in found] == [("trainer.max_epochs", None)]


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(RunError, match="allowed are 100,000"):
        texts.read_yaml("a" * 200_000, {}, model="", data="")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--model is missing"),
        (["--model", "zoo:TabularMLP"], "--data is missing"),
        (["--model", "MLP"], "allowed is zoo:"),
        (["--model", "zoo:TabularMLP", "--data", "zoo:Wine", "--trainer.max_epochs", "x"], "max_epochs: got 'x'"),
        (["--quick", "1"], "is no flag"),
        (["--seed"], "has no value"),
        (["nowhere.yaml"], "no readable specification"),
    ],
)
def test_a_wrong_command_says_what_is_allowed(arguments: list[str], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_from(arguments)
