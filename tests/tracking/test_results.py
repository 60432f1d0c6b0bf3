"""The results of a run: taken over once an attempt, refused when they do not fit, shown, and told why there are none."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.runs.errors import StaleState
from studio.runs.models import Run, State
from studio.tracking.drawing import number_text
from studio.tracking.models import RunResult
from studio.tracking.results import keep_results, why_none
from studio.worker.spool import event_handler
from tests.access.people import People
from tests.factories import make_attempt, make_checkpoint, make_run, make_token

pytestmark = pytest.mark.django_db
PREVIEW = {"kind": "table", "row": 17, "values": [["size", "3"], ["colour", "<b>red</b>"]]}
IMAGE = {"kind": "image", "height": 1, "width": 2, "channels": 1, "data": "AP8="}
CLASSES: dict[str, Any] = {
    "kind": "results", "t": 1.0, "task": "classification", "checkpoint": "step-00000009-f1", "split": "val", "rows": 10,
    "nonfinite": 0, "classes": ["cat", "dog"], "accuracy": 0.9, "macro_f1": 0.899, "loss": 0.25,
    "confusion": [[5, 0], [1, 4]], "confused": [[1, 0, 1]],
    "per_class": [
        {"precision": 5 / 6, "recall": 1.0, "f1": 10 / 11, "support": 5},
        {"precision": None, "recall": 0.8, "f1": 8 / 9, "support": 5},
    ],
    "worst": [
        {"index": 3, "loss": 2.5, "true": "dog", "predicted": "cat", "probability": 0.93, "preview": PREVIEW},
        {"index": 4, "loss": 1.5, "true": "dog", "predicted": "dog", "probability": 0.53, "preview": IMAGE},
        {"index": 5, "loss": 0.5, "true": "cat", "predicted": "cat", "probability": 0.6, "preview": None},
    ],
}  # fmt: skip
NUMBERS: dict[str, Any] = {
    "kind": "results", "t": 1.0, "task": "regression", "checkpoint": None, "split": "val", "rows": 2, "nonfinite": 1,
    "r2": None, "mae": 1.5, "rmse": "NaN", "points": {"true": [1.0, 2.0], "predicted": [1.5, 4.5]},
    "residuals": {"edges": [0.0, 1.0, 3.0], "counts": [1, 1]},
    "worst": [{"index": 1, "loss": 6.25, "true": 2.0, "predicted": 4.5, "preview": None}],
}  # fmt: skip


def running(people: People | None = None) -> Run:
    run = make_run(people.project if people else None, state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    return run


def changed(event: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(event), **values}


def test_the_event_of_a_trainer_becomes_the_row_once() -> None:
    run = running()
    handle = event_handler(run.pk, 1)
    handle(CLASSES)
    handle(changed(CLASSES, accuracy=0.8))
    row = RunResult.objects.get(run=run)
    assert (row.task, row.checkpoint, row.data["accuracy"]) == ("classification", "step-00000009-f1", 0.8)


def test_an_attempt_that_was_superseded_tells_nothing() -> None:
    run = running()
    Run.objects.filter(pk=run.pk).update(fence=2)
    with pytest.raises(StaleState):
        keep_results(run.pk, 1, CLASSES)
    assert not RunResult.objects.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"task": "magic"},
        {"rows": "many"},
        {"confusion": [[1, 2]]},
        {"per_class": [{}]},
        {"confused": [[0, 7, 1]]},
        {"worst": [1]},
        {"classes": ["x" * (5 << 20), "y"]},
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any]) -> None:
    run = running()
    with pytest.raises((ValueError, TypeError)):
        keep_results(run.pk, 1, changed(CLASSES, **values))
    assert not RunResult.objects.exists()


def test_the_page_of_a_classifier(people: People) -> None:
    run = running(people)
    keep_results(run.pk, 1, CLASSES)
    text = people.client("viewer").get(reverse("run-results", args=[run.pk])).content.decode()
    for words in ("90.0 %", "1 of 10", "row 17", "93.0 %", "100.0 %", "20.0 %", 'data-pixels="AP8="', "–"):
        assert words in text, words
    assert "<b>red</b>" not in text, "what is in a file is not markup"
    assert text.count("<result-chart") == 1


def test_the_page_leads_to_trying_the_checkpoint_that_it_is_of(people: People) -> None:
    run = running(people)
    keep_results(run.pk, 1, CLASSES)
    address, words = reverse("run-results", args=[run.pk]), "Try it on an input of your own"
    assert words not in people.client("viewer").get(address).content.decode(), "there is no such checkpoint"
    for step in (7, 12):
        make_checkpoint(run, step=step, fence=1, name=f"step-{step:08}-f1")
    found = make_checkpoint(run, step=9, fence=1, name="step-00000009-f1")
    text = people.client("viewer").get(address).content.decode()
    assert f'<a href="{reverse("checkpoint-use", args=[found.pk])}">{words}</a>' in text


def test_the_page_of_a_regression_says_what_is_not_finite(people: People) -> None:
    run = running(people)
    keep_results(run.pk, 1, NUMBERS)
    text = people.client("viewer").get(reverse("run-results", args=[run.pk])).content.decode()
    assert text.count("<result-chart") == 2
    assert "NaN" in text
    assert "1 example with a NaN or infinite prediction left out" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.RUNNING, "has not ended yet"),
        (State.FAILED, "it failed before"),
        (State.CANCELLED, "it was cancelled"),
        (State.SUCCEEDED, "before results were kept"),
    ],
)
def test_a_run_without_results_says_why(people: People, state: State, words: str) -> None:
    run = make_run(people.project, state=state)
    text = people.client("viewer").get(reverse("run-results", args=[run.pk])).content.decode()
    assert "This run has no results because" in text
    assert words in text


def test_a_trainer_that_cannot_tell_gives_its_reason(people: People) -> None:
    run = running(people)
    keep_results(run.pk, 1, {"kind": "results", "task": None, "reason": "it predicts text."})
    text = people.client("viewer").get(reverse("run-results", args=[run.pk])).content.decode()
    assert "no results because it predicts text." in text


def test_they_can_be_read_by_programs(people: People, client: Client) -> None:
    run = running(people)
    bearer = {"Authorization": f"Bearer {make_token(people.viewer)[1]}"}
    url = f"/api/v1/runs/{run.pk}/results"
    assert client.get(url, headers=bearer).json() == {
        "task": None, "reason": why_none(run, None), "attempt": None, "checkpoint": None, "data": {},
    }  # fmt: skip
    keep_results(run.pk, 1, CLASSES)
    told = client.get(url, headers=bearer).json()
    assert (told["task"], told["attempt"], told["reason"]) == ("classification", 1, "")
    assert told["data"]["confusion"] == [[5, 0], [1, 4]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.25, "0.25"),
        (12345.678, "12,346"),
        (0.000012, "1.200e-05"),
        (0, "0"),
        (None, "–"),
        ("NaN", "NaN"),
        (100, "100"),
    ],
)
def test_numbers_are_short(value: Any, text: str) -> None:
    assert number_text(value) == text
