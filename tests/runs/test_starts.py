"""Runs that begin with a checkpoint of another run: chosen in the form, checked, frozen, and told on both sides."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.accounts.models import Role
from studio.runs import starts
from studio.runs.checkpoints import path_of, retire
from studio.runs.errors import RunError
from studio.runs.models import Checkpoint, Run, State
from studio.runs.submit import more_seeds, rerun
from tests.access.people import People
from tests.factories import (
    make_checkpoint,
    make_dataset_version,
    make_member,
    make_model_version,
    make_run,
    write_checkpoint,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


@pytest.fixture
def checkpoint(people: People) -> Checkpoint:
    run = make_run(people.project, name="teacher", state=State.SUCCEEDED)
    return write_checkpoint(run, step=40, epoch=2.0, is_best=True, score=0.25)


def form_page(client: Client, people: People, query: str) -> str:
    response = client.get(reverse("run-create", args=[people.project.pk]) + query)
    assert response.status_code == 200, response.content[:300]
    return response.content.decode()


def value(text: str, name: str) -> str | None:
    found = re.search(rf'name="{re.escape(name)}"[^>]* value="([^"]*)"', text)
    return found[1] if found else None


def chosen(text: str, name: str) -> str:
    select = re.search(rf'<select name="{name}".*?</select>', text, re.S)
    assert select
    found = re.search(r'<option value="([^"]*)" selected', select[0])
    return found[1] if found else ""


def post(client: Client, people: People, checkpoint: Checkpoint, **given: Any) -> Any:
    run = checkpoint.run
    choice = {"model": run.model_version_id, "dataset": run.dataset_version_id, "start": checkpoint.pk}
    return client.post(reverse("run-create", args=[people.project.pk]), {**choice, **given})


def test_fine_tuning_fills_the_form_with_the_recipe(people: People, editor: Client, checkpoint: Checkpoint) -> None:
    rows = editor.get(reverse("run-checkpoints", args=[checkpoint.run_id])).content.decode()
    query = f"?start={checkpoint.pk}"
    assert query in rows
    text = form_page(editor, people, query)
    assert chosen(text, "start") == str(checkpoint.pk)
    assert "teacher, step 40 · best · val_loss 0.25" in text
    assert value(text, "model.lr") == "0.0002"
    assert value(text, "model.hidden") == "8", "the values of its run"
    assert value(text, "extras.finetune_head_epochs") == "1"
    assert "all weights fit" in text


def test_a_start_is_frozen_and_told_on_both_runs(people: People, editor: Client, checkpoint: Checkpoint) -> None:
    post(editor, people, checkpoint, **{"model.lr": "1e-4"})
    run = Run.objects.get(start_checkpoint=checkpoint)
    start = run.spec["start"]
    assert (start["mode"], start["name"], start["file"]) == ("weights", "#1 teacher, step 40", str(path_of(checkpoint)))
    assert "Fine-tunes" in editor.get(reverse("run", args=[run.pk])).content.decode()
    assert "→ #2" in editor.get(reverse("run-checkpoints", args=[checkpoint.run_id])).content.decode()
    again = rerun(run=run, user=people.editor)
    assert again.start_checkpoint == checkpoint
    assert {one.start_checkpoint for one in more_seeds(run=run, user=people.editor)} == {checkpoint}


def test_what_a_run_began_with_is_kept(people: People, editor: Client, checkpoint: Checkpoint) -> None:
    post(editor, people, checkpoint)
    Checkpoint.objects.update(is_best=False)
    for step in range(50, 100, 10):
        write_checkpoint(checkpoint.run, step=step)
    assert retire(checkpoint.run_id) == 2
    checkpoint.refresh_from_db()
    assert checkpoint.deleted_at is None
    assert path_of(checkpoint).is_file()


def test_training_further_is_exact_or_refused(people: People, editor: Client, checkpoint: Checkpoint) -> None:
    text = form_page(editor, people, f"?further={checkpoint.run_id}")
    assert chosen(text, "start_mode") == "all"
    assert value(text, "trainer.max_epochs") == "4"
    all_of_it = {"start_mode": "all", "seed": "0", "model.hidden": "8", "data.batch_size": "64"}
    less = post(editor, people, checkpoint, **all_of_it, **{"trainer.max_epochs": "2"})
    assert "2 epochs are done by this checkpoint" in less.content.decode()
    other = {**all_of_it, "model.hidden": "9", "seed": "1", "trainer.max_epochs": "4"}
    text = post(editor, people, checkpoint, **other).content.decode()
    assert text.count("To train further, keep the") >= 2
    assert not Run.objects.filter(start_checkpoint=checkpoint).exists()
    post(editor, people, checkpoint, **all_of_it, **{"trainer.max_epochs": "4"})
    run = Run.objects.get(start_checkpoint=checkpoint)
    assert run.spec["start"]["mode"] == "all"
    with pytest.raises(RunError, match="the seed of that one"):
        more_seeds(run=run, user=people.editor)


def test_other_data_is_told_before_the_start(people: People, editor: Client, checkpoint: Checkpoint) -> None:
    other = make_dataset_version(project=people.project)
    text = form_page(editor, people, f"?start={checkpoint.pk}&dataset={other.pk}")
    assert "Another dataset than that of" in text
    assert "Check tells which" in text


def test_only_what_one_sees_and_what_is_there_can_be_chosen(people: People, editor: Client) -> None:
    secret = write_checkpoint(make_run(people.other_project, state=State.SUCCEEDED))
    url = reverse("run-create", args=[people.project.pk])
    assert editor.get(f"{url}?start={secret.pk}").status_code == 404
    run = make_run(people.project, state=State.SUCCEEDED)
    gone = make_checkpoint(run)
    response = post(editor, people, gone)
    assert response.status_code == 422
    assert "Its files are gone" in response.content.decode()
    assert not Run.objects.filter(start_checkpoint__isnull=False).exists()


def test_a_run_of_another_project_is_not_named_to_those_who_may_not_see_it(people: People, editor: Client) -> None:
    secret = make_run(people.other_project, name="a secret", state=State.SUCCEEDED)
    checkpoint = write_checkpoint(secret, step=40)
    make_member(people.other_project.team, people.editor, Role.EDITOR)
    model, dataset = make_model_version(project=people.project), make_dataset_version(project=people.project)
    assert post(editor, people, checkpoint, model=model.pk, dataset=dataset.pk).status_code == 302
    run = Run.objects.get(start_checkpoint=checkpoint)
    for client in (editor, people.client("viewer")):
        for page in ("run", "run-config"):
            text = client.get(reverse(page, args=[run.pk])).content.decode()
            assert "a run of another project, step 40" in text or (client is editor and page == "run")
            assert "a secret" not in text or (client is editor and page == "run")


def test_the_list_has_the_best_and_the_newest_of_each_run(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    made = [make_checkpoint(run, step=step, is_best=step == 20) for step in (10, 20, 30, 40)]
    make_checkpoint(make_run(people.other_project))
    assert starts.choices(people.editor) == [made[3], made[1]]
