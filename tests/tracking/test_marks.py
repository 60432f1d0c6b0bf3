"""Charts point out where an attempt went on and which checkpoint is best, and nothing of a line that was abandoned."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.runs.models import Checkpoint, Run, State
from studio.tracking import compact
from studio.tracking.compact import compact_run
from studio.tracking.ingest import ingest
from studio.tracking.marks import marks_of, placed
from studio.tracking.places import places_of
from studio.tracking.query import AXES, series
from tests.access.people import People
from tests.factories import make_attempt, make_run
from trainer_core.events import MetricBlock, Position

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


def test_charts_hear_of_a_new_mark(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    client = Client()
    client.force_login(people.viewer)
    url = reverse("run-series", args=[run.pk])
    before = client.get(url)
    best(run, 7)
    after = client.get(url, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.json()["marks"] == [{"step": 7, "x": 7.0, "kind": "best", "text": "best"}]
    assert client.get(url, headers={"If-None-Match": after.headers["ETag"]}).status_code == 304
    assert client.get(url, {"x": "epoch"}).json()["marks"] == [], "without a point there is no place for it"


def rows(first: int, last: int, began: float, every: int = 1, name: str = "loss") -> MetricBlock:
    """A point every so many steps of half a second; an epoch has ten steps."""
    lines = [(float(s), s / 10, began + s / 2, [1 / (s + 1)]) for s in range(first, last + 1, every)]
    return MetricBlock.from_rows([name], lines)


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two attempts; the second went on from step 60, an hour later, and a metric that is logged seldom."""
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)
    monkeypatch.setattr(compact, "CHUNK_ROWS", 16)
    run = make_run(state=State.RUNNING, fence=1)
    attempt(run, 1, 0)
    ingest(run.pk, 1, [rows(1, 80, 1000.0)], Position(1, 1))
    Run.objects.filter(pk=run.pk).update(fence=2)
    run.attempts.update(valid_to_step=60)
    attempt(run, 2, 60)
    ingest(run.pk, 2, [rows(61, 100, 4600.0), rows(70, 100, 4600.0, every=30, name="val")], Position(1, 1))
    return run


def drawn_places(run: Run, x: str) -> list[tuple[float, float]]:
    """(step, place) of each point of the surviving line, by the plainest rule."""
    began = {"time": 0.0, "relative": 1000.5}
    found = []
    for step in range(1, 101):
        time = (1000.0 if step <= 60 else 4600.0) + step / 2
        found.append((float(step), {"step": float(step), "epoch": step / 10}.get(x, time - began.get(x, 0.0))))
    return found


@pytest.mark.parametrize("state", ["frames", "chunks", "both"])
@pytest.mark.parametrize("x", AXES)
def test_a_mark_lies_where_the_points_of_its_step_are(resumed: Run, x: str, state: str) -> None:
    if state != "frames":
        compact_run(resumed.pk, keep=1 if state == "both" else 0)
    known = drawn_places(resumed, x)
    steps = [int(step) for step, _ in known]
    assert places_of(resumed.pk, steps, x) == pytest.approx([place for _, place in known])  # type: ignore[arg-type]
    shown = series([resumed.pk], ["loss"], x)["runs"][0]["series"][0]["x"]  # type: ignore[arg-type]
    assert sorted(shown) == pytest.approx([place for _, place in known])


@pytest.mark.parametrize("x", AXES)
def test_marks_between_before_and_after_the_points_keep_their_order(resumed: Run, x: str) -> None:
    steps = [*range(-5, 130, 3), 64]
    places = places_of(resumed.pk, sorted(steps), x)  # type: ignore[arg-type]
    assert places is not None
    assert all(a <= b for a, b in pairwise(places))
    if x != "step":
        ends = drawn_places(resumed, x)
        assert (places[0], places[-1]) == pytest.approx((ends[0][1], ends[-1][1]))


def test_marks_are_given_along_the_axis_that_is_asked_for(resumed: Run, people: People) -> None:
    best(resumed, 50)
    client = Client()
    client.force_login(people.viewer)
    Run.objects.filter(pk=resumed.pk).update(project=people.project)
    url = reverse("run-series", args=[resumed.pk])
    for x, best_at, resumed_at in (
        ("step", 50, 60),
        ("epoch", 5.0, 6.0),
        ("relative", 24.5, 29.5),
        ("time", 1025, 1030),
    ):
        marks = client.get(url, {"x": x}).json()["marks"]
        assert [(m["kind"], m["x"]) for m in marks] == [("best", best_at), ("resumed", resumed_at)], x
    assert placed(resumed.pk, [], "epoch") == []


@pytest.mark.parametrize("compacted", [False, True])
def test_what_was_abandoned_places_nothing(resumed: Run, compacted: bool) -> None:
    resumed.frames.filter(fence=2).delete()
    resumed.attempts.filter(fence=2).update(spool_segment=1, spool_offset=0)
    ingest(resumed.pk, 2, [rows(90, 100, 4600.0)], Position(1, 2))
    if compacted:
        compact_run(resumed.pk)
    assert places_of(resumed.pk, [75], "time") == pytest.approx([1030.0 + (75 - 60) / 30 * (4645.0 - 1030.0)])
