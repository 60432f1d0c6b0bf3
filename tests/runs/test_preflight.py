"""Questions before a run: asked from the form, answered by a worker's trainer, shown with what to change, forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.runs import preflight
from studio.runs.models import Preflight, Run, State
from studio.worker import preflights
from studio.worker.standby import Standby
from tests.access.people import People
from tests.factories import make_dataset_version, make_model_version, make_run, make_worker
from trainer_core.spec import DataRef, ModelRef, RunSpec

pytestmark = pytest.mark.django_db
FOUND: dict[str, Any] = {
    "device": "cpu", "loss": 2.3, "parameters": 650, "metrics": ["train_loss", "val_loss"], "batches": 23,
    "val_batches": 6, "every_batches": 23, "steps": 200, "ready_s": 1.5, "step_s": 0.01, "epoch_s": 0.25,
    "validation_s": 0.05, "save_s": 0.01, "checkpoint_bytes": 100_000, "memory_bytes": 350_000_000, "gpu_bytes": None,
    "start": "", "layers": [{"name": "net.0", "kind": "Linear", "in": [[64, 64]], "out": [[64, 10]]}],
    "batch": [
        {"name": "[0]", "type": "float32", "shape": [64, 1, 8, 8], "least": 0.0, "greatest": 1.0, "mean": 0.3,
         "nonfinite": 0, "examples": [{"kind": "image", "height": 1, "width": 1, "channels": 1, "data": "AA=="}]},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("studio.runs.queue._ring", lambda queue, function, job, *_: found.append(job))
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)
    return found


@pytest.fixture
def editor(people: People) -> Client:
    return people.client("editor")


def asked_by(client: Client, people: People, part: bool = True, **given: Any) -> Any:
    model, dataset = make_model_version(project=people.project), make_dataset_version(project=people.project)
    headers = {"HX-Request": "true"} if part else {}
    data = {"model": model.pk, "dataset": dataset.pk, "ask": "check", **given}
    return client.post(reverse("preflight-ask", args=[people.project.pk]), data, headers=headers)


def make_preflight(people: People, **fields: Any) -> Preflight:
    spec = make_run(people.project, state=State.SUCCEEDED).spec
    return Preflight.objects.create(**{"project": people.project, "kind": "check", "spec": spec, **fields})


def text_of(client: Client, one: Preflight) -> str:
    return client.get(reverse("preflight", args=[one.pk]), headers={"HX-Request": "true"}).content.decode()


def test_a_question_is_asked_about_the_form_and_makes_no_run(
    people: People, editor: Client, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = asked_by(editor, people, **{"model.lr": "1/100", "trainer.max_epochs": "3"})
    (one,) = Preflight.objects.all()
    assert rung == [f"preflight-{one.pk}"]
    assert "No worker is online." in response.content.decode()
    assert 'hx-trigger="every 500ms"' in response.content.decode()
    assert (one.spec["model"]["args"], one.spec["trainer"]) == ({"lr": 0.01}, {"max_epochs": 3})
    assert (one.kind, one.known["rate"], one.created_by) == ("check", "lr", people.editor)
    assert not Run.objects.exists()
    assert asked_by(editor, people, part=False).status_code == 302, "without scripts it has a page"


def test_what_does_not_fit_is_told_instead(people: People, editor: Client) -> None:
    text = asked_by(editor, people, **{"model.lr": "fast"}).content.decode()
    assert "Learning rate: &#x27;fast&#x27; does not fit" in text
    assert asked_by(editor, people, part=False, **{"model.lr": "fast"}).status_code == 422
    assert not Preflight.objects.exists()


def test_nobody_asks_without_end(people: People, editor: Client) -> None:
    for _ in range(preflight.MOST_OPEN):
        make_preflight(people, created_by=people.editor)
    assert "wait already" in asked_by(editor, people).content.decode()


def test_an_answer_says_what_the_run_will_take_and_offers_repairs(
    people: People, editor: Client, django_assert_max_num_queries: Any
) -> None:
    one = make_preflight(people, stage=Preflight.Stage.DONE, result=FOUND)
    one.spec["extras"] = {"monitor": "val_f1"}
    one.spec["trainer"] = {"max_epochs": 100}
    one.save()
    with django_assert_max_num_queries(8):
        text = text_of(editor, one)
    assert "about 32 s" in text
    assert "350 MB" in text
    assert "64 × 1 × 8 × 8" in text
    assert "never logs val_f1" in text
    assert "&quot;extras.monitor&quot;: &quot;val_loss&quot;" in text
    assert "hx-get" not in text


def test_rates_are_drawn_and_can_be_used(people: People, editor: Client) -> None:
    rates = [10 ** (-6 + 6 * i / 60) for i in range(61)]
    losses = [2.0 - i / 60 if i < 50 else 1.2 + (i - 50) for i in range(61)]
    found = {"lr": rates, "loss": losses, "diverged": True, "steepest": 2.04e-3, "tenth_of_least": None}
    one = make_preflight(people, kind="rates", stage="done", result=found, known={"rate": "lr"})
    text = text_of(editor, one)
    assert '<polyline class="rates-line"' in text
    assert "Use 0.002" in text
    assert "{&quot;model.lr&quot;: &quot;0.002&quot;}" in text
    none = {**found, "steepest": None, "lr": [], "loss": []}
    assert "No rate can be suggested" in text_of(
        editor, make_preflight(people, kind="rates", stage="done", result=none)
    )


def test_a_repair_changes_the_form_without_scripts_too(people: People, editor: Client) -> None:
    model, dataset = make_model_version(project=people.project), make_dataset_version(project=people.project)
    given = {"model": model.pk, "dataset": dataset.pk, "model.lr": "5", "repair": '{"model.lr": "0.002"}'}
    text = editor.post(reverse("run-create", args=[people.project.pk]), given).content.decode()
    assert 'name="model.lr" value="0.002"' in text
    assert not Run.objects.exists()
    given["repair"] = "no json"
    assert editor.post(reverse("run-create", args=[people.project.pk]), given).status_code == 200


def test_one_worker_takes_a_question_and_only_its_own_answer_counts(people: People) -> None:
    one = make_preflight(people)
    make_preflight(people, pool="gpu")
    first, second = make_worker(), make_worker()
    assert preflight.take_next(make_worker(draining=True), "default") is None
    assert preflight.take_next(first, "default") == one
    assert preflight.take_next(second, "default") is None
    assert preflight.settle(one, {"error": "it broke"})
    one.refresh_from_db()
    assert (one.stage, one.reason) == ("failed", "it broke")
    assert not preflight.settle(one, FOUND)


def test_what_is_stuck_is_rung_again_ended_or_forgotten(
    people: People, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    now = timezone.now()
    waits = make_preflight(people, created_at=now - timedelta(seconds=30))
    left = make_preflight(people, stage="working", started_at=now - timedelta(hours=1))
    old = make_preflight(people, stage="done", created_at=now - timedelta(days=2))
    with django_capture_on_commit_callbacks(execute=True):
        assert preflight.tidy() == 2
    left.refresh_from_db()
    assert rung == [f"preflight-{waits.pk}"]
    assert (left.stage, left.reason) == ("failed", "The worker stopped answering. Ask again.")
    assert not Preflight.objects.filter(pk=old.pk).exists()


def test_a_worker_answers_with_its_trainer_and_leaves_nothing(people: People) -> None:
    spec = RunSpec(
        model=ModelRef("zoo", "TabularMLP", {"width": 8, "members": 2}),
        data=DataRef("zoo", "Wine", {"batch_size": 32}),
        trainer={"accelerator": "cpu"},
    )
    standby = Standby()
    one = make_preflight(people, kind="rates", spec=spec.to_dict())
    taken = preflight.take_next(make_worker(), "default")
    assert taken is not None
    preflights.answer(taken, standby)
    one.refresh_from_db()
    assert (one.stage, one.reason) == ("done", "")
    assert len(one.result["lr"]) > 50
    assert not list(Path(settings.RUNS_DIR).glob("preflight-*"))
    stopping = make_preflight(people, spec=spec.to_dict())
    taken = preflight.take_next(make_worker(), "default")
    assert taken is not None
    preflights.answer(taken, standby, stops_asked=lambda: 1)
    stopping.refresh_from_db()
    assert stopping.stage == "waiting", "another worker answers"
    standby.close()
