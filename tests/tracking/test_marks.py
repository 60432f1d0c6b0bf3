"""Charts point out where an attempt went on and which checkpoint is best, and nothing of a line that was abandoned."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.runs.models import Checkpoint, Run, State
from studio.tracking.marks import marks_of
from tests.access.people import People
from tests.factories import make_attempt, make_run

pytestmark = pytest.mark.django_db


def attempt(run: Run, fence: int, resume_step: int, valid_to_step: int | None = None, *, ready: bool = True) -> None:
    made = make_attempt(run, fence=fence)
    made.resume_step, made.valid_to_step = resume_step, valid_to_step
    made.ready_at = timezone.now() if ready else None
    made.save()


def best(run: Run, step: int, **fields: object) -> None:
    values = {"fence": 1, "name": f"step-{step:08d}-f1", "manifest_sha256": "0" * 64, "size_bytes": 1, "is_best": True}
    Checkpoint.objects.create(run=run, step=step, **{**values, **fields})


def test_a_run_without_interruption_has_its_best_checkpoint_alone() -> None:
    run = make_run(state=State.RUNNING)
    attempt(run, 1, 0)
    assert marks_of(run.pk) == []
    best(run, 40)
    assert marks_of(run.pk) == [{"step": 40, "kind": "best", "text": "best"}]


def test_only_what_survived_is_pointed_out() -> None:
    run = make_run(state=State.RUNNING)
    attempt(run, 1, 0, valid_to_step=20)
    attempt(run, 2, 50, valid_to_step=20)  # went on from 50, but a later one from 20 again
    attempt(run, 3, 20)
    attempt(run, 4, 30, ready=False)  # never trained
    best(run, 50, superseded=True)
    best(run, 10)
    assert [(m["step"], m["text"]) for m in marks_of(run.pk)] == [(10, "best"), (20, "attempt 3")]


def test_charts_hear_of_a_new_mark_and_only_along_steps(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    client = Client()
    client.force_login(people.viewer)
    url = reverse("run-series", args=[run.pk])
    before = client.get(url)
    best(run, 7)
    after = client.get(url, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.json()["marks"] == marks_of(run.pk)
    assert client.get(url, headers={"If-None-Match": after.headers["ETag"]}).status_code == 304
    assert client.get(url, {"x": "epoch"}).json()["marks"] == []
