"""What was written to the spool is what a chart shows: each point once, spikes and NaN included."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.runs.errors import StaleState
from studio.runs.models import Run, State
from studio.tracking.ingest import ingest, rebuild_summary, summarise
from studio.tracking.models import MetricFrame
from studio.tracking.publish import dumps, stored_message
from studio.tracking.query import abandoned, bins, series
from studio.tracking.summaries import last_values
from tests.factories import make_attempt, make_run
from trainer_core.events import MetricBlock, Position

NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)


def running(**fields: Any) -> Run:
    run = make_run(state=State.RUNNING, fence=1)
    make_attempt(run, fence=1, **fields)
    return run


def block(steps: range, name: str = "loss", value: float | None = None) -> MetricBlock:
    return MetricBlock.from_rows([name], [(s, s / 10, 1e9 + s, [s * 1.0 if value is None else value]) for s in steps])


def points(run: Run, **query: Any) -> tuple[list[float], list[Any]]:
    (found,) = series([run.pk], ["loss"], **query)["runs"]
    return (found["series"][0]["x"], found["series"][0]["last"]) if found["series"] else ([], [])


@pytest.mark.django_db
def test_points_come_back_as_they_were_written() -> None:
    run = running()
    ingest(run.pk, 1, [block(range(1, 6)), block(range(6, 9), value=NAN)], Position(1, 100))
    assert points(run) == ([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, "NaN", "NaN", "NaN"])
    run.refresh_from_db()
    assert run.last_seq == 2
    summary = run.summary["loss"]
    assert (summary["min"], summary["argmin"], summary["max"], summary["argmax"]) == (1, 1, 5, 5)
    assert (summary["last"], summary["count"], summary["nonfinite"], summary["mean"]) == ("NaN", 8, 3, 3)


@pytest.mark.django_db
def test_the_largest_numbers_are_stored_and_have_a_mean() -> None:
    run = running()
    for i, value in enumerate((1.7e308, -1.7e308), 1):
        ingest(run.pk, 1, [block(range(9 * i, 9 * i + 8), value=value)], Position(1, i))
    run.refresh_from_db()
    summary = run.summary["loss"]
    # PostgreSQL gives a float of whole value back as an integer.
    found = [float(summary[name]) for name in ("min", "max", "mean", "nonfinite")]
    assert found == [-1.7e308, 1.7e308, 0, 0]


@pytest.mark.django_db
def test_last_values_of_many_runs_are_those_of_their_newest_points(django_assert_num_queries: Any) -> None:
    runs = [running(), running(), running()]
    ingest(runs[0].pk, 1, [block(range(1, 6)), block(range(1, 3), "größe", INF)], Position(1, 100))
    ingest(runs[1].pk, 1, [block(range(1, 3), "loss", NAN)], Position(1, 100))
    with django_assert_num_queries(1):
        found = last_values([run.pk for run in runs])
    assert [found[run.pk] for run in runs] == [{"loss": 5.0, "größe": "Infinity"}, {"loss": "NaN"}, {}]


@pytest.mark.django_db
def test_a_replay_changes_nothing() -> None:
    run = running()
    for _ in range(3):
        ingest(run.pk, 1, [block(range(1, 6))], Position(1, 100))
    assert MetricFrame.objects.count() == 1
    assert len(points(run)[0]) == 5


@pytest.mark.django_db
def test_an_old_attempt_is_refused() -> None:
    run = running()
    Run.objects.filter(pk=run.pk).update(fence=2)
    with pytest.raises(StaleState):
        ingest(run.pk, 1, [block(range(1, 6))], Position(1, 100))
    assert MetricFrame.objects.count() == 0


@pytest.mark.django_db
def test_a_resumed_attempt_hides_the_abandoned_tail() -> None:
    run = running(valid_to_step=5)
    ingest(run.pk, 1, [block(range(1, 9), value=100.0)], Position(1, 100))
    Run.objects.filter(pk=run.pk).update(fence=2)
    make_attempt(run, fence=2, resume_step=5)
    rebuild_summary(run.pk, 2, 5)
    ingest(run.pk, 2, [block(range(4, 9), value=1.0)], Position(1, 50))
    assert points(run) == ([1, 2, 3, 4, 5, 6, 7, 8], [100.0] * 5 + [1.0] * 3)
    run.refresh_from_db()
    assert run.summary["loss"]["count"] == 8


@pytest.mark.django_db
def test_a_zoom_and_other_axes() -> None:
    run = running()
    ingest(run.pk, 1, [block(range(1, 101))], Position(1, 100))
    assert points(run, lo=10, hi=12) == ([10, 11, 12], [10, 11, 12])
    assert points(run, x="epoch", lo=1.0, hi=1.2)[1] == [10, 11, 12]
    assert points(run, x="relative", hi=2)[0] == [0, 1, 2]


@pytest.mark.django_db
def test_a_message_of_a_frame_is_json_with_words_for_what_json_lacks() -> None:
    run = running()
    ingest(run.pk, 1, [block(range(1, 3), value=INF)], Position(1, 100))
    text = dumps(stored_message(MetricFrame.objects.get()))
    assert '"values":[["Infinity","Infinity"]]' in text


@given(st.lists(st.floats(width=32), min_size=40, max_size=400), st.integers(16, 64))
def test_no_spike_and_no_nan_is_lost_in_bins(values: list[float], width: int) -> None:
    x, y = np.arange(len(values), dtype=np.float64), np.array(values)
    found = bins(x, y, width)
    assert sum(found["n"]) == len(values)
    assert sum(found["nonfinite"]) == int((~np.isfinite(y)).sum())
    finite = y[np.isfinite(y)]
    if finite.size:
        assert min(v for v in found["min"] if v is not None) == finite.min()
        assert max(v for v in found["max"] if v is not None) == finite.max()
    assert len(found["x"]) <= 2 * width + 1
    assert math.log2(found["bin"]).is_integer()


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), min_size=1, max_size=5))
def test_a_summary_of_parts_is_that_of_the_whole(parts: list[list[float]]) -> None:
    pieces: dict[str, Any] = {}
    step = 0
    for part in parts:
        summarise(pieces, MetricBlock.from_rows(["m"], [(step + i, 0, 0, [v]) for i, v in enumerate(part)]))
        step += len(part)
    whole: dict[str, Any] = {}
    values = [v for part in parts for v in part]
    summarise(whole, MetricBlock.from_rows(["m"], [(i, 0, 0, [v]) for i, v in enumerate(values)]))
    assert pieces["m"].pop("mean") == pytest.approx(whole["m"].pop("mean"), abs=1e-6)
    assert pieces == whole


@pytest.mark.django_db
def test_what_was_done_again_can_be_asked_for_by_attempt() -> None:
    run = running(valid_to_step=3)
    ingest(run.pk, 1, [block(range(1, 6))], Position(1, 100))
    Run.objects.filter(pk=run.pk).update(fence=2)
    make_attempt(run, fence=2, resume_step=3)
    ingest(run.pk, 2, [block(range(4, 8), value=9.0)], Position(1, 100))
    (tail,) = abandoned(run.pk)
    assert (tail["name"], tail["fence"], tail["x"], tail["last"]) == ("loss", 1, [4, 5], [4, 5])
    assert points(run)[0] == [1, 2, 3, 4, 5, 6, 7]
    assert abandoned(run.pk, ["other"]) == []
