"""Samples of a machine: fenced, apart from the run's own metrics, drawn with every peak, and shown by attempt."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from studio.runs.errors import StaleState
from studio.runs.models import State
from studio.tracking.models import SystemSample
from studio.tracking.query import series
from studio.tracking.system import MOST_BINS, charts_of, keep_sample
from tests.access.people import People
from tests.factories import make_attempt, make_run, make_token

pytestmark = pytest.mark.django_db
VALUES = {"cpu.run": 97.25, "cpu.machine": 140.0, "gpu_use.0": 5.0, "gpu_use.1": 6.0, "memory.run": 300.0}


def test_an_attempt_that_was_superseded_writes_nothing() -> None:
    attempt = make_attempt(make_run(state=State.RUNNING))
    keep_sample(attempt.run_id, attempt.fence, 2.0, VALUES)
    with pytest.raises(StaleState):
        keep_sample(attempt.run_id, attempt.fence - 1, 4.0, VALUES)
    assert SystemSample.objects.count() == 1


def test_charts_name_their_units_and_lines_and_the_runs_own_metrics_stay_apart() -> None:
    attempt = make_attempt(make_run(state=State.RUNNING))
    for age in (2.0, 4.0):
        keep_sample(attempt.run_id, attempt.fence, age, VALUES)
    charts = charts_of(attempt.run_id, attempt.fence)
    assert [c["title"] for c in charts] == ["GPU, % busy", "Processors, % of one", "Memory, MiB"]
    assert [s["name"] for s in charts[0]["series"]] == ["GPU 0", "GPU 1"]
    assert charts[1]["series"][0] == {"name": "this run", "x": [2.0, 4.0], "last": [97.25, 97.25]}
    assert charts_of(attempt.run_id, attempt.fence + 1) == []
    assert series([attempt.run_id])["runs"][0]["series"] == []


@pytest.mark.parametrize("at", [0, 1, 777, 1999])
def test_a_single_peak_among_many_samples_stays_visible(at: int) -> None:
    attempt = make_attempt(make_run(state=State.RUNNING))
    rows = [
        SystemSample(
            run=attempt.run,
            fence=attempt.fence,
            at=attempt.started_at,
            age_s=2.0 * i,
            values={"memory.run": float(i == at)},
        )
        for i in range(2000)
    ]
    SystemSample.objects.bulk_create(rows)
    (chart,) = charts_of(attempt.run_id, attempt.fence)
    (line,) = chart["series"]
    assert len(line["x"]) <= MOST_BINS
    assert line["x"] == sorted(line["x"])
    assert line["x"][-1] == 2.0 * 1999
    assert (max(line["max"]), min(line["min"])) == (1.0, 0.0)
    assert line["max"].count(1.0) == 1


def test_page_data_and_api_tell_of_the_attempt_that_is_asked_for(people: People) -> None:
    run = make_run(people.project, state=State.RUNNING)
    attempt = make_attempt(run)
    keep_sample(run.pk, attempt.fence, 2.0, VALUES)
    client = Client()
    client.force_login(people.viewer)
    page = client.get(reverse("run-system", args=[run.pk]))
    assert f"attempt={attempt.fence}" in page.content.decode()
    found = client.get(reverse("run-system-charts", args=[run.pk])).json()
    assert not found["settled"]
    assert found["charts"] == charts_of(run.pk, attempt.fence)
    assert client.get(reverse("run-system-charts", args=[run.pk]), {"attempt": 99}).json()["charts"] == []
    header = {"Authorization": f"Bearer {make_token(people.viewer)[1]}"}
    told = Client().get(f"/api/v1/runs/{run.pk}/system", headers=header).json()
    assert told == {"attempt": attempt.fence, "charts": found["charts"]}
