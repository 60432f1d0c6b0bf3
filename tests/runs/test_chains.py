"""A waiting run that begins with a checkpoint which another one has yet to make: it gets it, or ends in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.runs import chains, lease
from studio.runs.cancel import request_cancel, request_resume
from studio.runs.errors import RunError
from studio.runs.line import place_of
from studio.runs.models import Run, State
from studio.runs.reorder import change
from studio.runs.submit import rerun, submit_run
from studio.worker.supervisor import Supervisor
from tests.access.people import People
from tests.chaos.pool import Pool, Standby, Warm
from tests.factories import make_dataset_version, make_external_run, make_run, make_worker, write_checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)


@pytest.fixture
def first(people: People) -> Run:
    return make_run(people.project, name="teacher", state=State.RUNNING)


def chained(people: People, first: Run, which: str = "best", **given: Any) -> Run:
    queueing = {"after": first, "after_checkpoint": which, **given.pop("queueing", {})}
    versions = {"model_version": first.model_version, "dataset_version": first.dataset_version}
    return submit_run(project=people.project, user=people.editor, queueing=queueing, **versions, **given)


def ends(run: Run, state: State = State.SUCCEEDED) -> None:
    Run.objects.filter(pk=run.pk).update(state=state)
    run.refresh_from_db()


def test_it_waits_in_words_and_begins_with_the_checkpoint_that_was_asked_for(people: People, first: Run) -> None:
    best, last = write_checkpoint(first, step=10, is_best=True), write_checkpoint(first, step=20)
    runs = [chained(people, first, which, extras={"stage": "test"}) for which in ("best", "last")]
    hashes = [run.spec_hash for run in runs]
    assert chains.resolve_waiting() == 0
    assert lease.acquire_next(make_worker()) is None
    place = place_of(runs[0])
    assert place is not None
    assert place.why == "It starts with the best checkpoint of run #1 once that has succeeded, which is running."
    ends(first)
    assert lease.acquire_next(make_worker()) is None, "its checkpoint has not been found yet"
    assert chains.resolve_waiting() == 2
    for run, checkpoint, before in zip(runs, (best, last), hashes, strict=True):
        run.refresh_from_db()
        assert run.start_checkpoint == checkpoint
        assert run.spec["start"]["name"] == f"#1 teacher, step {checkpoint.step}"
        assert run.spec_hash != before
    assert chains.resolve_waiting() == 0
    attempt = lease.acquire_next(make_worker())
    assert attempt is not None
    assert attempt.run == runs[0]


@pytest.mark.parametrize(
    ("state", "words"),
    [(State.SUCCEEDED, "no checkpoint of it is left"), (State.FAILED, "failed"), (State.CANCELLED, "cancelled")],
)
def test_what_never_comes_ends_it(people: People, first: Run, state: State, words: str) -> None:
    run = chained(people, first)
    ends(first, state)
    assert chains.resolve_waiting() == 1
    run.refresh_from_db()
    assert (run.state, words in run.reason) == (State.CANCELLED, True), run.reason
    write_checkpoint(first)
    ends(first)
    request_resume(run=run, user=people.editor)
    chains.resolve_followers(first.pk)
    run.refresh_from_db()
    assert run.start_checkpoint is not None


def test_a_forerunner_that_is_deleted_ends_it(people: People, first: Run) -> None:
    run = chained(people, first)
    again = rerun(run=run, user=people.editor)
    assert (again.after, again.after_checkpoint) == (first, "best")
    first.delete()
    assert chains.resolve_waiting() == 2
    run.refresh_from_db()
    assert (run.state, "has been deleted" in run.reason) == (State.CANCELLED, True)


def test_one_that_has_succeeded_already_is_begun_with_at_once(people: People, first: Run) -> None:
    ends(first)
    with pytest.raises(RunError, match="no checkpoint of it is left"):
        chained(people, first)
    checkpoint = write_checkpoint(first)
    assert chained(people, first, "best").start_checkpoint == checkpoint, "the newest where none is best"


def test_what_cannot_come_true_is_refused_at_its_field(people: People, first: Run) -> None:
    checkpoint = write_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    failed = make_run(people.project, state=State.FAILED)
    for given, field in (
        ({"queueing": {"after": None}}, "queue.after_checkpoint"),
        ({"queueing": {"after": make_external_run(people.project, state=State.RUNNING)}}, "queue.after"),
        ({"queueing": {"after": failed}}, "queue.after"),
        ({"queueing": {"after_checkpoint": "worst"}}, "queue.after_checkpoint"),
        ({"start": checkpoint}, "queue.after_checkpoint"),
        ({"start_mode": "all", "seed": 99}, "seed"),
        ({"queueing": {"after_checkpoint": None}, "extras": {"stage": "test"}}, "extras.stage"),
    ):
        with pytest.raises(RunError) as refused:
            chained(people, first, **given)
        assert field in refused.value.errors, (given, refused.value.errors)
    assert not Run.objects.exclude(after_checkpoint="").exists()


def test_training_further_takes_the_seed_and_the_whole_checkpoint(people: People, first: Run) -> None:
    same = {"model_args": {"hidden": 8}, "data_args": {"batch_size": 64}, "trainer": {"max_epochs": 9}}
    run = chained(people, first, "last", start_mode="all", **same)
    assert run.spec["seed"] == first.spec["seed"]
    write_checkpoint(first, step=20, epoch=2.0)
    ends(first)
    chains.resolve(run.pk)
    run.refresh_from_db()
    assert run.spec["start"]["mode"] == "all"


def test_it_may_start_without_it_where_that_makes_sense(people: People, first: Run) -> None:
    run, tested = chained(people, first), chained(people, first, extras={"stage": "test"})
    change(run=run, user=people.editor, given={}, free=True)
    run.refresh_from_db()
    assert (run.after, run.after_checkpoint) == (None, "")
    with pytest.raises(RunError, match="trains nothing"):
        change(run=tested, user=people.editor, given={}, free=True)
    request_cancel(run=tested, user=people.editor)
    assert chains.resolve_waiting() == 0


def test_the_form_and_the_api_take_it(people: People, first: Run) -> None:
    editor: Client = people.client("editor")
    page = editor.get(reverse("run", args=[first.pk])).content.decode()
    query = f"?parent={first.pk}&queue.after={first.number}&queue.after_checkpoint=best"
    assert query.replace("&", "&amp;") in page
    url = reverse("run-create", args=[people.project.pk])
    text = editor.get(url + query).content.decode()
    assert 'name="queue.after"' in text
    assert '<option value="best" selected' in text
    choice = {"model": first.model_version_id, "dataset": first.dataset_version_id, "extras.stage": "test"}
    sent = {**choice, "queue.after": f"#{first.number}", "queue.after_checkpoint": "best"}
    assert editor.post(url, sent).status_code == 302
    run = Run.objects.latest("pk")
    assert (run.after, run.after_checkpoint, run.spec["extras"]) == (first, "best", {"stage": "test"})
    assert "once that has succeeded" in editor.get(reverse("run", args=[run.pk])).content.decode()
    given = {
        "project": people.project.pk,
        "model_version": run.model_version_id,
        "dataset_version": run.dataset_version_id,
    }
    body = json.dumps({**given, "after": first.pk, "after_checkpoint": "last"})
    response = editor.post("/api/v1/runs", body, "application/json")
    assert (response.status_code, response.json()["after_checkpoint"], response.json()["start"]) == (201, "last", None)


def test_the_form_lets_it_go_on_exactly(people: People, first: Run) -> None:
    editor, url = people.client("editor"), reverse("run-create", args=[people.project.pk])
    query = f"?parent={first.pk}&queue.after={first.number}&queue.after_checkpoint=last"
    page = editor.get(url + query).content.decode()
    assert "Begins with the weights of the last checkpoint of #1, once that has succeeded." in page
    begun = {"model": first.model_version_id, "dataset": first.dataset_version_id, "parent": first.pk}
    begun |= {"queue.after": f" #{first.number}", "queue.after_checkpoint": "last", "start_was": "-weights-1-last"}
    page = editor.post(url, {**begun, "start_mode": "all", "refresh": "1"}).content.decode()
    assert "Goes on exactly from the last checkpoint of #1" in page
    assert field(page, "trainer.max_epochs") == "4", "twice what the other one has"
    assert field(page, "seed") == str(first.spec["seed"])
    assert field(page, "start_was") == "-all-1-last"
    sent = {**begun, "start_mode": "all", "model.hidden": "8", "data.batch_size": "64"}
    refused = editor.post(url, {**sent, "trainer.max_epochs": "2"})
    assert refused.status_code == 422
    assert "2 epochs are done by this checkpoint. Give more than 2." in refused.content.decode()
    assert editor.post(url, {**sent, "trainer.max_epochs": "4"}).status_code == 302
    run = Run.objects.latest("pk")
    assert (run.after, run.after_mode, run.spec["seed"]) == (first, "all", first.spec["seed"])
    assert "all of the last checkpoint" in editor.get(reverse("run", args=[run.pk])).content.decode()
    other = make_dataset_version(project=people.project)
    page = editor.post(url, {**begun, "dataset": other.pk, "start_mode": "all", "refresh": "1"}).content.decode()
    assert "Training further needs the same model and dataset" in page
    assert "once that has succeeded" not in editor.get(url + query.replace("after=1", "after=99")).content.decode()


def test_the_last_checkpoint_of_a_run_that_may_stop_early_leaves_something_to_do(first: Run) -> None:
    first.spec["trainer"]["max_epochs"] = 5
    assert [chains.expected_of(first, which).epoch for which in ("last", "best")] == [5, 0]
    first.spec["extras"] = {"early_stopping_patience": 3}
    assert chains.expected_of(first, "last").epoch == 0


def field(page: str, name: str) -> str:
    (tag,) = re.findall(rf'<input[^>]*name="{re.escape(name)}"[^>]*>', page)
    found = re.search(r'value="([^"]*)"', tag)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    warm = Pool()
    yield warm
    warm.close()


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_a_run_is_trained_and_the_next_one_tests_its_checkpoint(people: People, pool: Pool) -> None:
    from studio.registry.builtin import sync_builtins
    from studio.registry.models import DatasetVersion, ModelVersion

    sync_builtins()
    versions: dict[str, Any] = {
        "model_version": ModelVersion.objects.get(model__project=None, ref="TabularMLP"),
        "dataset_version": DatasetVersion.objects.get(dataset__project=None, ref="Wine"),
    }
    given = {"project": people.project, "user": people.editor, "model_args": {"width": 8}, **versions}
    train = submit_run(trainer={"max_epochs": 1, "accelerator": "cpu"}, **given)
    tested = submit_run(
        trainer={"accelerator": "cpu"},
        extras={"stage": "test"},
        queueing={"after": train, "after_checkpoint": "best"},
        **given,
    )
    worker = make_worker()
    for run in (train, tested):
        attempt = lease.acquire_next(worker)
        assert attempt is not None
        assert attempt.run == run
        Supervisor(attempt, Standby(Warm(pool, None, "", lambda seconds: None))).run()  # type: ignore[arg-type]
        run.refresh_from_db()
        assert run.state == State.SUCCEEDED, run.reason
        tested.refresh_from_db()
    assert tested.reason.startswith("Tested the weights of #1")
    assert "test_loss" in tested.summary
    assert tested.checkpoints.count() == 0
