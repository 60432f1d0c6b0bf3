"""The pages of runs, as the people of a team see and use them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from studio.registry.models import ModelVersion
from studio.runs import lease, timeline
from studio.runs.advice import ADVICE
from studio.runs.errors import RunError
from studio.runs.models import Run, State
from studio.runs.submit import more_seeds
from studio.runs.templatetags.runs import OUTCOMES
from tests.access.people import People
from tests.factories import (
    make_attempt,
    make_checkpoint,
    make_dataset_version,
    make_model,
    make_model_version,
    make_run,
    make_worker,
)
from trainer_core.events import OUTCOMES as EVENT_OUTCOMES
from trainer_core.spec import RunSpec

pytestmark = pytest.mark.django_db
SUMMARY = {
    "val_loss": {"last": 0.5, "last_step": 9, "min": 0.25, "argmin": 7, "max": 2.0, "argmax": 1, "nonfinite": 0},
    "train_loss": {"last": "NaN", "last_step": 9, "min": 0.125, "argmin": 8, "nonfinite": 3},
}


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


def page(client: Client, name: str, *args: Any, query: str = "", status: int = 200) -> str:
    response = client.get(reverse(name, args=args) + query)
    assert response.status_code == status, response.content[:500]
    return response.content.decode()


def form_of(people: People, **values: Any) -> dict[str, Any]:
    model, dataset = make_model_version(project=people.project), make_dataset_version(project=people.project)
    return {"model": model.pk, "dataset": dataset.pk, **values}


def test_an_empty_project_leads_to_the_first_run(people: People, editor: Client) -> None:
    text = page(editor, "project", people.project.pk)
    assert reverse("run-create", args=[people.project.pk]) in text
    assert "Start the first run" in text
    assert "Bring your own data" in text
    assert "Start the first run" not in page(people.client("viewer"), "project", people.project.pk)


def test_the_list_shows_what_matters_and_finds(people: People, editor: Client) -> None:
    make_run(people.project, name="quick fox", state=State.SUCCEEDED, summary=SUMMARY)
    progress = {"step": 12, "epoch": 0, "max_epochs": 4, "fraction": 0.3, "eta_s": 75.0}
    make_run(people.project, name="slow dog", state=State.RUNNING, progress=progress)
    text = page(editor, "project", people.project.pk)
    assert "0.25" in text
    assert "epoch 1 of 4 · step 12" in text
    assert "1 min 15 s left" in text
    assert "slow dog" not in page(editor, "project", people.project.pk, query="?q=fox")
    assert "quick fox" not in page(editor, "project", people.project.pk, query="?q=state:running")
    assert "No run of this project fits" in page(editor, "project", people.project.pk, query="?q=zebra")


def test_the_list_costs_the_same_for_one_and_for_many(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(60):
        make_run(people.project, created_by=people.editor)
    with django_assert_max_num_queries(17):
        text = page(editor, "project", people.project.pk)
    assert text.count("<tr data-run") == 50


def test_a_run_shows_its_metrics_attempts_and_history(people: People, editor: Client) -> None:
    run = make_run(people.project, state=State.SUCCEEDED, summary=SUMMARY, reason="Finished 2 epochs.")
    make_attempt(run, worker=make_worker("gpu-07"), resume_step=120, outcome="ok", reason="Finished 2 epochs.")
    text = page(editor, "run", run.pk)
    for words in ("Finished 2 epochs.", "gpu-07", "120", "0.25", "3 not finite", "val_loss"):
        assert words in text


@pytest.mark.parametrize("name", ["run", "run-config", "run-checkpoints"])
def test_a_page_of_a_run_costs_few_queries(
    people: People, editor: Client, name: str, django_assert_max_num_queries: Any
) -> None:
    parent = make_run(people.project)
    run = make_run(people.project, state=State.RUNNING, worker=make_worker(), parent=parent, summary=SUMMARY)
    for number in range(1, 20):
        make_attempt(run, fence=number, worker=make_worker())
        make_checkpoint(run, step=number)
    with django_assert_max_num_queries(18):
        page(editor, name, run.pk)


def test_a_failed_run_says_why_and_shows_the_traceback(people: People, editor: Client) -> None:
    run = make_run(people.project, state=State.FAILED, outcome="user_error", reason="ValueError: <b>no</b>")
    make_attempt(run, outcome="user_error", detail="Traceback <script>")
    text = page(editor, "run", run.pk)
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in text
    assert "Traceback &lt;script&gt;" in text


def test_a_run_whose_checkpoints_cannot_be_saved_says_so_until_they_can(people: People, editor: Client) -> None:
    run = make_run(people.project, state=State.RUNNING, fence=2)
    words = "The checkpoint of step 8 could not be written"
    run.events.create(fence=1, kind="unsaved", text="of an earlier attempt")
    assert "Checkpoints cannot be saved" not in page(editor, "run", run.pk)
    run.events.create(fence=2, kind="unsaved", text=words)
    text = page(editor, "run", run.pk)
    assert f"Checkpoints cannot be saved.</strong> {words}" in text
    run.events.create(fence=2, kind="saved", text="They can again.")
    text = page(editor, "run", run.pk)
    assert "Checkpoints cannot be saved" not in text
    assert words in text


def test_a_waiting_run_says_what_it_waits_for(people: People, editor: Client) -> None:
    first, second = make_run(people.project), make_run(people.project)
    text = page(editor, "run", first.pk)
    assert "No worker is online" in text
    assert "python manage.py studio_worker" in text
    make_worker()
    assert "1 run before it." in page(editor, "run", second.pk)
    assert "It is next, and a worker is free." in page(editor, "run", first.pk)


def test_a_worker_that_is_silent_is_not_shown_as_fine(people: People, editor: Client) -> None:
    run = make_run(people.project)
    assert lease.acquire(run.pk, make_worker("gpu-7")) is not None
    assert "No word from" not in page(editor, "run", run.pk)

    def heard(seconds: float) -> str:
        last = timezone.now() - timedelta(seconds=seconds)
        Run.objects.filter(pk=run.pk).update(lease_until=last + timedelta(seconds=settings.LEASE_S))
        return " ".join(page(editor, "run", run.pk).split())

    assert "No word from" not in heard(10)
    text = heard(12.5)
    assert re.search("No word from gpu-7 for 1[2-4] s", text)
    assert re.search(
        r'elsewhere from its newest checkpoint in at most <span class="tabular" data-countdown="([89]|10)">', text
    )
    assert "any moment" in heard(60)
    assert re.search(r"no word for 1 min \d\d s", page(editor, "project", people.project.pk))


def test_the_attempts_tell_the_whole_story(people: People, editor: Client) -> None:
    run = make_run(people.project, state=State.FAILED, fence=2, outcome="lost", reason="Worker b stopped answering.")
    start = timezone.now() - timedelta(hours=1)

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    times = {"started_at": at(0), "ready_at": at(10), "ended_at": at(100)}
    make_attempt(run, fence=1, outcome="infra", reason="Killed.", valid_to_step=1200, **times)
    times = {"started_at": at(130), "ready_at": at(135), "ended_at": at(200)}
    make_attempt(run, fence=2, outcome="lost", reason="Gone.", resume_step=1200, **times)
    text = re.sub(r"<[^>]+>", " ", page(editor, "run", run.pk))
    words = " ".join(text.split()).replace("\u202f", " ")
    for told in (
        "30 s in which nobody worked", "Attempt 2 worker lost resumed from step 1 200 Gone.",
        "after 30 s without a worker", "ready in 5 s", "trained 1 min 05 s", "Attempt 1 ended from outside from the start",
        "what it did after step 1 200 was done again", "The worker or its machine went away.",
    ):  # fmt: skip
        assert told in words, words
    charts = page(editor, "run-charts", run.pk, query="?abandoned=1")
    assert "data-chart-abandoned checked" in charts
    assert "data-chart-abandoned checked" not in page(editor, "run-charts", run.pk)


def test_the_bar_of_attempts_covers_the_run_without_gaps(people: People) -> None:
    run = make_run(people.project, state=State.FAILED, fence=2)
    start = timezone.now() - timedelta(hours=1)
    spans = [(0, 10, 100), (130, 135, 200)]
    attempts = [
        make_attempt(run, fence=k, **dict(zip(("started_at", "ready_at", "ended_at"), moments, strict=True)))
        for k, moments in enumerate([[start + timedelta(seconds=s) for s in span] for span in spans], 1)
    ]
    found = timeline.parts(run, attempts)
    assert [(p.kind, p.seconds) for p in found] == [
        ("ready", 10), ("train", 90), ("down", 30), ("ready", 5), ("train", 65),
    ]  # fmt: skip
    assert (found[0].x, found[-1].x + found[-1].width) == (0, 1000)
    assert all(abs(a.x + a.width - b.x) < 0.2 for a, b in zip(found, found[1:], strict=False))
    assert timeline.parts(run, []) == []


def test_a_run_that_waits_for_its_next_attempt_counts_down(people: People, editor: Client) -> None:
    run = make_run(people.project, fence=1, not_before=timezone.now() + timedelta(seconds=14.5))
    text = page(editor, "run", run.pk)
    assert 'starts in <span class="tabular" data-countdown="15">' in text or 'data-countdown="14"' in text


@pytest.mark.parametrize("outcome", sorted(ADVICE))
def test_each_bad_end_comes_with_advice(people: People, editor: Client, outcome: str) -> None:
    run = make_run(people.project, state=State.FAILED, outcome=outcome, reason="It ended.")
    assert escape(ADVICE[outcome]) in page(editor, "run", run.pk)


def test_every_outcome_has_its_words() -> None:
    assert set(OUTCOMES) == {"", *EVENT_OUTCOMES}
    assert set(ADVICE) == set(EVENT_OUTCOMES) - {"ok", "preempted", "paused", "cancelled"}


def test_the_configuration_shows_what_changed_against_the_parent(people: People, editor: Client) -> None:
    parent = make_run(people.project)
    run = make_run(people.project, parent=parent)
    run.spec["model"]["args"]["hidden"] = 16
    run.save(update_fields=["spec"])
    text = page(editor, "run-config", run.pk)
    assert "model.hidden" in text
    assert re.search(r"<td>8</td><td><strong>16</strong></td>", text)


def test_buttons_work_without_javascript(people: People, editor: Client) -> None:
    run = make_run(people.project)
    response = editor.post(reverse("run-cancel", args=[run.pk]), follow=True)
    assert Run.objects.get(pk=run.pk).state == State.CANCELLED
    assert "Cancelled" in response.content.decode()
    editor.post(reverse("run-rerun", args=[run.pk]), {"key": "once"})
    editor.post(reverse("run-rerun", args=[run.pk]), {"key": "once"})
    again = Run.objects.get(parent=run)
    assert (again.state, again.spec, again.spec_hash) == (State.QUEUED, run.spec, run.spec_hash)


def test_one_click_starts_the_same_with_three_more_seeds(people: People, editor: Client) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    text = editor.post(reverse("run-seeds", args=[run.pk]), follow=True).content.decode()
    made = list(Run.objects.filter(parent=run).order_by("number"))
    assert [one.state for one in made] == [State.QUEUED] * 3
    assert all(f"#{one.number}" in text for one in made)
    assert len({run.spec["seed"], *(one.spec["seed"] for one in made)}) == 4
    assert len({run.spec_hash, *(one.spec_hash for one in made)}) == 4
    for one in made:
        assert {**one.spec, "seed": run.spec["seed"]} == run.spec
        assert one.spec_hash == RunSpec.from_dict(one.spec).hash
    assert reverse("run-seeds", args=[made[0].pk]) not in page(editor, "run", made[0].pk)


@pytest.mark.parametrize("count", [0, 11])
def test_no_more_seeds_than_a_queue_can_bear(people: People, count: int) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    with pytest.raises(RunError, match="allowed is a number from 1 to 10"):
        more_seeds(run=run, user=None, count=count)
    assert not Run.objects.filter(parent=run).exists()


def test_an_order_that_comes_too_late_says_so(people: People, editor: Client) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    response = editor.post(reverse("run-cancel", args=[run.pk]), follow=True)
    assert "has ended already" in response.content.decode()


def test_a_viewer_is_offered_no_orders(people: People) -> None:
    run = make_run(people.project, state=State.RUNNING)
    text = page(people.client("viewer"), "run", run.pk)
    assert reverse("run-cancel", args=[run.pk]) not in text
    assert "parent=" not in text


def test_the_form_starts_a_run_with_what_was_entered(people: People, editor: Client) -> None:
    given = form_of(
        people, **{"name": "mine", "model.lr": "3e-4", "trainer.max_epochs": "7", "data.batch_size": "1/2*8"}
    )
    given["data.batch_size"] = "16"
    response = editor.post(reverse("run-create", args=[people.project.pk]), given)
    run = Run.objects.get()
    assert response.url == reverse("run", args=[run.pk])  # type: ignore[attr-defined]
    assert (run.name, run.state, run.number) == ("mine", State.QUEUED, 1)
    assert run.spec["model"]["args"] == {"lr": 0.0003}
    assert run.spec["data"]["args"] == {"batch_size": 16}
    assert run.spec["trainer"] == {"max_epochs": 7}
    assert run.created_by == people.editor


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(people: People, editor: Client) -> None:
    given = form_of(people, **{"name": "kept", "model.lr": "fast", "data.batch_size": "0", "trainer.max_epochs": "3"})
    response = editor.post(reverse("run-create", args=[people.project.pk]), given)
    text = response.content.decode()
    assert response.status_code == 422
    assert "2 things need another look" in text
    assert "&#x27;fast&#x27; does not fit: it takes a number." in text
    assert "it takes a whole number of at least 1." in text
    assert 'value="kept"' in text
    assert 'value="fast"' in text
    assert not Run.objects.exists()


def test_the_form_sent_twice_makes_one_run(people: People, editor: Client) -> None:
    given = form_of(people, key="a-key")
    url = reverse("run-create", args=[people.project.pk])
    first, second = editor.post(url, given), editor.post(url, given)
    assert first.url == second.url  # type: ignore[attr-defined]
    assert Run.objects.count() == 1


def test_the_form_shows_little_explains_all_and_keeps_choices(people: People, editor: Client) -> None:
    given = form_of(people)
    query = f"?model={given['model']}&dataset={given['dataset']}"
    text = page(editor, "run-create", people.project.pk, query=query)
    shown = re.sub(r"<details.*?</details>", "", text, flags=re.S)
    names = re.findall(r'<(?:input|select)[^>]* name="([a-z_.]+)"', shown)
    visible = [n for n in names if n not in ("csrfmiddlewaretoken", "key", "theme", "next")]
    assert len(visible) <= 25, visible
    assert {"model", "dataset", "name", "seed", "model.lr", "trainer.max_epochs"} <= set(visible)
    assert 'placeholder="0.001"' in text
    assert "trainer.callbacks" not in text
    for name in re.findall(r'name="((?:model|data|trainer|extras)\.[a-z_0-9]+)"', text):
        assert f'id="id_{name}_helptext"' in text, f"{name} has no help"


def test_choosing_another_model_keeps_what_was_typed(people: People, editor: Client) -> None:
    given = form_of(people, **{"name": "kept", "model.lr": "0.5", "refresh": "1"})
    other = make_model_version(project=people.project, params=[{"name": "depth", "kind": "int", "default": 2}])
    response = editor.post(reverse("run-create", args=[people.project.pk]), {**given, "model": other.pk})
    text = response.content.decode()
    assert response.status_code == 200
    assert 'name="model.depth"' in text
    assert 'value="kept"' in text
    assert not Run.objects.exists()


def test_a_changed_run_starts_from_the_values_of_its_parent(people: People, editor: Client) -> None:
    parent = make_run(people.project, name="the parent")
    text = page(editor, "run-create", people.project.pk, query=f"?parent={parent.pk}")
    assert re.search(r'name="model.hidden" value="8"', text)
    assert re.search(r'name="trainer.max_epochs" value="2"', text)
    given = {"model": parent.model_version_id, "dataset": parent.dataset_version_id, "parent": parent.pk}
    editor.post(reverse("run-create", args=[people.project.pk]), {**given, "model.hidden": "9"})
    assert Run.objects.get(parent=parent).spec["model"]["args"] == {"hidden": 9}


def test_what_does_not_fit_together_is_said_before_and_refused_after(people: People, editor: Client) -> None:
    given = form_of(people)
    ModelVersion.objects.filter(pk=given["model"]).update(info={"input": "image", "task": "classification"})
    dataset = make_dataset_version(project=people.project, info={"input": "table", "task": "classification"})
    given["dataset"] = dataset.pk
    text = page(editor, "run-create", people.project.pk, query=f"?model={given['model']}&dataset={dataset.pk}")
    assert "is-bad" in text
    response = editor.post(reverse("run-create", args=[people.project.pk]), given)
    assert response.status_code == 422
    assert not Run.objects.exists()


def test_versions_of_other_projects_cannot_be_used(people: People, editor: Client) -> None:
    given = form_of(people)
    given["model"] = make_model_version(make_model(project=people.other_project)).pk
    response = editor.post(reverse("run-create", args=[people.project.pk]), given)
    assert response.status_code == 422
    assert not Run.objects.exists()


def test_the_form_costs_few_queries(people: People, editor: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        make_model_version(project=people.project)
        make_dataset_version(project=people.project)
    given = form_of(people)
    with django_assert_max_num_queries(14):
        page(editor, "run-create", people.project.pk, query=f"?model={given['model']}&dataset={given['dataset']}")


def test_the_queue_shows_the_order_and_hides_what_is_not_ones_own(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    hidden = make_run(people.other_project, name="a secret")
    mine = make_run(people.project, name="my run")
    urgent = make_run(people.project, name="urgent", priority=3)
    busy = make_run(people.other_project, name="also secret")
    assert lease.acquire(busy.pk, make_worker()) is not None
    with django_assert_max_num_queries(18):  # ten of them are the look at the line, whatever waits
        text = page(editor, "queue")
    assert "secret" not in text
    assert text.index(urgent.name) < text.index(mine.name)
    assert "2 runs before it." in text
    assert "It is next; the worker is busy." in text
    assert "1 run of other teams is on workers too" in text
    assert hidden.pk


def test_workers_are_shown_with_their_age_and_how_to_add_one(people: People, editor: Client) -> None:
    run = make_run(people.project, name="my run")
    assert lease.acquire(run.pk, make_worker("one")) is not None
    secret = make_run(people.other_project, name="a secret")
    assert lease.acquire(secret.pk, make_worker("two")) is not None
    text = page(editor, "worker-list")
    assert "my run" in text
    assert "a run of another team" in text
    assert "secret" not in text
    assert "python manage.py studio_worker --queues runs" in text


def test_a_checkpoint_downloads_with_its_digest(people: People, editor: Client, settings: Any, tmp_path: Any) -> None:
    settings.RUNS_DIR = tmp_path
    run = make_run(people.project, state=State.SUCCEEDED)
    checkpoint = make_checkpoint(run, step=40, is_best=True)
    from hashlib import sha256

    folder = tmp_path / str(run.pk) / "checkpoints" / checkpoint.name
    folder.mkdir(parents=True)
    (folder / "checkpoint.ckpt").write_bytes(b"weights")
    digest = sha256(b"weights").hexdigest()
    (folder / "manifest.json").write_text(f'{{"files": {{"checkpoint.ckpt": {{"sha256": "{digest}"}}}}}}')
    text = page(editor, "run-checkpoints", run.pk)
    assert digest in text
    assert "best" in text
    response = editor.get(reverse("checkpoint-download", args=[checkpoint.pk]))
    assert response.headers["ETag"] == f'"{digest}"'
    assert f'run-{run.number}-step-40.ckpt"' in response.headers["Content-Disposition"]
    response.close()


def test_a_checkpoint_that_was_retired_cannot_be_downloaded(people: People, editor: Client) -> None:
    checkpoint = make_checkpoint(make_run(people.project, state=State.SUCCEEDED))
    assert editor.get(reverse("checkpoint-download", args=[checkpoint.pk])).status_code == 404
