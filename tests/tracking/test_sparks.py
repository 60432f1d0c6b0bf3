"""Small curves of many runs at once: of frames, of chunks, without what was done again."""

from __future__ import annotations

from typing import Any

import pytest

from studio.runs.models import Attempt, Run, State
from studio.tracking.compact import compact_run
from studio.tracking.ingest import ingest
from studio.tracking.sparks import POINTS, curves
from tests.access.people import People
from tests.factories import make_attempt, make_run
from trainer_core.events import MetricBlock, Position

pytestmark = pytest.mark.django_db


def run_with(people: People, values: list[float]) -> Run:
    run = make_run(people.project, state=State.RUNNING)
    make_attempt(run)
    rows = [(i + 1, 0.0, 1.76e9 + i, [value, -value]) for i, value in enumerate(values)]
    ingest(run.pk, 1, [MetricBlock.from_rows(["loss", "other"], rows)], Position(1, 10))
    return run


def test_few_values_are_all_there(people: People) -> None:
    run = run_with(people, [3.0, float("nan"), 1.0])
    assert curves({run.pk: "loss"}) == {run.pk: [3.0, None, 1.0]}
    assert curves({run.pk: "gone"}) == {}


def test_many_are_thinned_and_a_compacted_run_looks_alike(people: People) -> None:
    run = run_with(people, [float(i) for i in range(5000)])
    before = curves({run.pk: "loss"})[run.pk]
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)
    compact_run(run.pk)
    after = curves({run.pk: "loss"})[run.pk]
    for curve in (before, after):
        assert len(curve) == POINTS
        assert curve == sorted(curve)  # type: ignore[type-var]
        assert curve[-1] == 4999.0


def test_what_a_later_attempt_did_again_is_left_out(people: People) -> None:
    run = run_with(people, [5.0, 4.0, 9.0])
    Attempt.objects.filter(run=run).update(valid_to_step=2)
    assert curves({run.pk: "loss"}) == {run.pk: [5.0, 4.0]}


def test_many_runs_cost_as_many_queries_as_one(people: People, django_assert_num_queries: Any) -> None:
    runs = [run_with(people, [1.0, 2.0]) for _ in range(5)]
    with django_assert_num_queries(5):
        assert len(curves({run.pk: "loss" for run in runs})) == 5
