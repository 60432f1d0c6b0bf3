"""What SQLite's planner is told of the table of runs."""

from __future__ import annotations

import pytest
from django.db import connection

from studio.runs import columns
from studio.runs.table.select import table_of
from studio.runs.table.statistics import refresh
from tests.access.people import People
from tests.factories import make_dataset_version, make_model_version, make_run
from tests.runs.table.test_select import numbers

pytestmark = pytest.mark.django_db


def plan(people: People) -> str:
    return table_of(people.project, people.editor, {"sort": "val_0.max"}).ordered().values_list("pk")[:50].explain()


def test_runs_are_sorted_by_the_index_that_has_the_values(people: People) -> None:
    if connection.vendor != "sqlite":
        refresh()  # which leaves it to the server
        return
    model, data = make_model_version(project=people.project), make_dataset_version(project=people.project)
    for i in range(60):
        run = make_run(people.project, model_version=model, dataset_version=data)
        columns.write_config(run)
        columns.write_metrics(run.pk, people.project.pk, {f"val_{k}": numbers(0, i, i) for k in range(40)})
    assert "run_metric_column" not in plan(people)
    refresh()
    assert "sort0 USING COVERING INDEX run_metric_column" in plan(people)
