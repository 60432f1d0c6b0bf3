"""The typed rows by which tables of runs are filtered: choices, and summaries of metrics."""

from __future__ import annotations

import math
from typing import Any

import pytest

from studio.runs import columns
from studio.runs.models import Run, RunColumn, RunConfig, RunMetric, State
from studio.runs.states import transition
from studio.runs.submit import submit_run
from studio.tracking.ingest import ingest
from tests.access.people import People
from tests.factories import make_attempt, make_dataset_version, make_model_version, make_run
from trainer_core.events import MetricBlock, Position

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def rows(run: Run) -> dict[str, tuple[str, float | None, str]]:
    found = RunConfig.objects.filter(run=run).values_list("column__name", "type", "num", "text")
    return {name: (kind, num, text) for name, kind, num, text in found}


def metric(run: Run, name: str) -> RunMetric:
    return RunMetric.objects.get(run=run, column__name=name, column__kind="metric")


def block(values: list[float], first: int = 1, name: str = "loss") -> MetricBlock:
    return MetricBlock.from_rows([name], [(first + i, 0.0, 1.76e9 + i, [v]) for i, v in enumerate(values)])


def started(project: Any) -> Run:
    run = make_run(project, state=State.RUNNING)
    make_attempt(run)
    return run


def test_submitting_writes_what_was_chosen_and_the_defaults_by_type(people: People) -> None:
    run = submit_run(
        project=people.project,
        user=people.editor,
        model_version=make_model_version(project=people.project),
        dataset_version=make_dataset_version(project=people.project),
        model_args={"lr": 0.01},
        extras={"monitor": "val_loss"},
        seed=7,
    )
    found = rows(run)
    assert found["model.lr"] == ("number", 0.01, "0.01")
    assert found["model.hidden"] == ("number", 32.0, "32")
    assert found["seed"] == ("number", 7.0, "7")
    assert found["extras.monitor"] == ("text", None, "val_loss")
    assert found["trainer.deterministic"][0] in ("bool", "none")
    run.refresh_from_db()
    assert run.columns_version == columns.VERSION


def test_numbers_of_metrics_are_written_at_first_then_seldom_and_at_the_end(people: People) -> None:
    run = started(people.project)
    ingest(run.pk, 1, [block([3.0, 1.0])], Position(1, 10))
    assert metric(run, "loss").min == 1.0
    ingest(run.pk, 1, [block([0.5], 3)], Position(1, 20))
    assert metric(run, "loss").min == 1.0, "not with every flush"
    Run.objects.filter(pk=run.pk).update(metrics_at=0)
    ingest(run.pk, 1, [block([0.25], 4)], Position(1, 30))
    assert metric(run, "loss").min == 0.25
    ingest(run.pk, 1, [block([0.125, math.nan], 5)], Position(1, 40))
    run.refresh_from_db()
    transition(run, State.SUCCEEDED, by="test")
    found = metric(run, "loss")
    assert (found.min, found.argmin, found.last, found.nonfinite) == (0.125, 5, None, 1)
    assert (found.count, found.first_step, found.last_step, found.max) == (6, 1, 6, 3.0)


def test_flushes_between_cost_no_query_more(people: People, django_assert_num_queries: Any) -> None:
    run = started(people.project)
    ingest(run.pk, 1, [block([3.0])], Position(1, 10))
    with django_assert_num_queries(7):  # two of them are the savepoint
        ingest(run.pk, 1, [block([2.0], 2)], Position(1, 20))


def test_a_metric_that_was_abandoned_has_no_row(people: People) -> None:
    run = make_run(people.project)
    columns.write_metrics(run.pk, run.project_id, {"a": {"last": 1.0}, "b": {"last": 2.0}})
    columns.write_metrics(run.pk, run.project_id, {"b": {"last": 3.0}})
    assert [(m.column.name, m.last) for m in RunMetric.objects.filter(run=run)] == [("b", 3.0)]


def test_names_too_long_for_a_column_are_left_out(people: People) -> None:
    run = make_run(people.project)
    columns.write_metrics(run.pk, run.project_id, {"x" * 201: {"last": 1.0}, "y" * 200: {"last": 1.0}})
    assert [c.name for c in RunColumn.objects.all()] == ["y" * 200]


def test_runs_of_an_earlier_version_get_their_rows(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED, summary={"loss": {"last": 0.5, "count": 1}})
    assert columns.catch_up() == 1
    assert rows(run)["model.hidden"] == ("number", 8.0, "8")
    assert metric(run, "loss").last == 0.5
    assert columns.catch_up() == 0
