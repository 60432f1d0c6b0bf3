"""What charts ask for: one answer for each question, only what was asked, the same again only when something is new."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.runs.models import Attempt, Checkpoint, Run, State
from studio.tracking import compact
from studio.tracking.chart_data import FEW_METRICS, FEW_POINTS
from studio.tracking.ingest import ingest
from studio.tracking.models import MetricChunk, MetricFrame
from studio.tracking.samples import samples_a_step
from tests.access.people import People
from tests.factories import make_attempt, make_run
from trainer_core.events import MetricBlock, Position


@pytest.fixture(autouse=True)
def _no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


def logged(people: People, names: list[str], steps: int, *, at: int = 1) -> Run:
    """A run that logged the number of its step as every metric."""
    run = make_run(people.project, state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    log(run, names, range(1, steps + 1), at)
    return run


def log(run: Run, names: list[str], steps: range, at: int) -> None:
    rows = [(float(s), s / 10, 1e9 + s, [float(s)] * len(names)) for s in steps]
    ingest(run.pk, 1, [MetricBlock.from_rows(names, rows)], Position(1, at))


def of(run: Run, client: Client, **query: Any) -> Any:
    return client.get(reverse("run-series", args=[run.pk]), query)


def test_a_run_with_few_metrics_comes_at_once_and_of_many_only_their_names(people: People, viewer: Client) -> None:
    few = of(logged(people, ["b", "a"], 3), viewer, few=1).json()
    assert few["few"] and set(few["names"]) == {"a", "b"} == {s["name"] for s in few["series"]}
    names = [f"m{i}" for i in range(FEW_METRICS + 1)]
    run = logged(people, names, 3)
    many = of(run, viewer, few=1).json()
    assert not many["few"] and many["series"] == [] and set(many["names"]) == set(names)
    assert (many["cursor"], many["fence"]) == (1, 1)
    assert "abandoned" not in of(run, viewer, few=1, abandoned=1).json()
    some = of(run, viewer, few=1, metrics=["m3", "m9"]).json()
    assert of(run, viewer, metrics=["m3"], abandoned=1).json()["abandoned"] == []
    assert [s["name"] for s in some["series"]] == ["m3", "m9"] and "names" not in some


def test_a_run_with_many_points_is_not_few(people: People, viewer: Client) -> None:
    names = [f"m{i}" for i in range(FEW_METRICS)]
    run = logged(people, names, 1 + FEW_POINTS // FEW_METRICS)
    assert not of(run, viewer, few=1).json()["few"]
    assert of(run, viewer, few=1, width=100).json()["few"], "so many points are not drawn at this width"


def test_runs_that_are_few_alone_are_not_few_together(people: People, viewer: Client) -> None:
    runs = [logged(people, [f"m{i}" for i in range(FEW_METRICS)], 200).pk for _ in range(2)]

    def few(*pks: int) -> list[bool]:
        return [one["few"] for one in viewer.get(reverse("series"), {"run": pks, "few": 1}).json()["runs"]]

    assert few(runs[0]) == [True]
    assert few(*runs) == [False, False]


def test_the_same_question_is_answered_again_only_when_something_is_new(people: People, viewer: Client) -> None:
    run = logged(people, ["a", "b"], 3)

    def again(tag: str, **query: Any) -> int:
        return viewer.get(reverse("run-series", args=[run.pk]), query, headers={"If-None-Match": tag}).status_code

    tag = of(run, viewer, metrics="a").headers["ETag"]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert again(tag, metrics="a") == 304
    assert not [q for q in queries if "metricframe" in q["sql"]], "nothing was read"
    assert again(tag, metrics="b") == again(tag, metrics="a", x="epoch") == again(tag, metrics="a", to="2") == 200
    log(run, ["a"], range(4, 5), 2)
    assert again(tag, metrics="a") == 200
    tag = of(run, viewer, metrics="a").headers["ETag"]
    Attempt.objects.filter(run=run).update(ready_at="2026-01-01T00:00Z")
    assert again(tag, metrics="a") == 200, "an attempt began: what is shown may be another line"
    tag = of(run, viewer, metrics="a").headers["ETag"]
    Checkpoint.objects.create(run=run, fence=1, step=2, name="c", manifest_sha256="0" * 64, size_bytes=1)
    assert again(tag, metrics="a") == 200
    assert of(run, viewer).headers["Cache-Control"] == "private, no-cache"


def test_several_runs_come_together(people: People, viewer: Client) -> None:
    runs = [logged(people, ["a", name], 3) for name in "bc"]
    url, query = reverse("series"), {"run": [r.pk for r in runs], "metrics": ["a", "c"]}
    answer = viewer.get(url, query)
    found = answer.json()["runs"]
    assert [(one["run"], [s["name"] for s in one["series"]]) for one in found] == [
        (runs[0].pk, ["a"]), (runs[1].pk, ["a", "c"]),
    ]  # fmt: skip
    assert found[0] == {k: v for k, v in of(runs[0], viewer, metrics="a").json().items() if k != "marks"}
    tag = answer.headers["ETag"]
    assert viewer.get(url, query, headers={"If-None-Match": tag}).status_code == 304
    log(runs[1], ["a"], range(4, 5), 2)
    assert viewer.get(url, query, headers={"If-None-Match": tag}).status_code == 200
    names = viewer.get(url, {**query, "metrics": [], "few": 1}).json()["runs"]
    assert [set(one["names"]) for one in names] == [{"a", "b"}, {"a", "c"}]


def test_the_queries_of_one_more_run_are_few_and_of_one_more_metric_none(people: People, viewer: Client) -> None:
    runs = [logged(people, ["a", "b", "c"], 3) for _ in range(3)]
    for run in runs:
        compact.compact_run(run.pk)

    def count(pks: list[int], metrics: list[str]) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert viewer.get(reverse("series"), {"run": pks, "metrics": metrics}).status_code == 200
        return len(queries)

    pks = [run.pk for run in runs]
    one = count(pks[:1], ["a"])
    assert count(pks[:1], ["a", "b", "c"]) == one
    assert one <= 16 and count(pks, ["a"]) - one <= 2 * 9


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"x": "moon"}, "allowed is one of step, epoch"),
        ({"from": "soon"}, "from: got 'soon'"),
        ({"to": "nan"}, "to: got 'nan'"),
        ({"width": "wide"}, "width: got 'wide'"),
        ({"metrics": ["m"] * 201}, "allowed are 200 at once"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_words(
    people: People, viewer: Client, query: dict[str, Any], words: str
) -> None:
    answer = of(make_run(people.project), viewer, **query)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("metrics=a", "numbers of runs"),
        ("run=one&metrics=a", "numbers of runs"),
        ("run=1", "name at least one"),
        ("&".join(f"run={k}" for k in range(1, 52)) + "&metrics=a", "allowed are 50 at once"),
        ("&".join(f"run={k}" for k in range(1, 11)) + "".join(f"&metrics={k}" for k in range(101)), "1000 lines"),
    ],
)
def test_too_many_runs_or_none_are_refused_with_words(viewer: Client, query: str, words: str) -> None:
    answer = viewer.get(f"{reverse('series')}?{query}")
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


WIDE = 10_000


def test_ten_thousand_metrics_are_stored_summed_up_and_found_by_name(people: People, viewer: Client) -> None:
    names = [f"layer{i // 100}/unit{i % 100} größe" for i in range(WIDE)]
    run = make_run(people.project, state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    values = np.arange(WIDE, dtype=float)
    for at in range(3):
        table = np.stack([values * (at + 1), values * -(at + 1)], axis=1)
        table[17, 1] = math.nan
        axes = np.array([[2 * at + 1, 2 * at + 2]] * 2 + [[1e9, 1e9 + 1]], dtype=float)
        block = MetricBlock.from_columns(names, 2, np.concatenate([axes, table]).tobytes())
        ingest(run.pk, 1, [block], Position(1, at + 1))
    run.refresh_from_db()
    assert len(run.summary) == WIDE
    assert run.summary[names[5]] == {
        "count": 6, "nonfinite": 0, "first_step": 1, "min": -15.0, "argmin": 6, "max": 15.0, "argmax": 5, "mean": 0.0,
        "last": -15.0, "last_step": 6,
    }  # fmt: skip
    assert (run.summary[names[17]]["nonfinite"], run.summary[names[17]]["last"]) == (3, "NaN")
    before = of(run, viewer, metrics=[names[9999], names[17]]).content
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)
    compact.compact_run(run.pk)
    assert not MetricFrame.objects.exists() and MetricChunk.objects.count() == WIDE
    assert of(run, viewer, metrics=[names[9999], names[17]]).content == before
    assert [s["last"] for s in json.loads(before)["series"]][1] == [17.0, "NaN", 34.0, "NaN", 51.0, "NaN"]
    assert set(of(run, viewer, few=1).json()["names"]) == set(names)
    page = viewer.get(reverse("run-charts", args=[run.pk])).content
    assert len(page) < 50_000, "the page itself does not grow with the names"


MILLION = 1_000_000
NAN_AT, SPIKE_AT = 123_457, 777_777  # steps


@pytest.fixture
def million(people: People) -> Run:
    """1M steps: most in chunks, then a tail of frames; one NaN and one spike, the latter in the tail."""
    run = make_run(people.project, state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    y = 1 + 0.1 * np.random.default_rng(1).normal(size=MILLION)
    y[NAN_AT - 1], y[SPIKE_AT - 1] = math.nan, 99.0
    frames = []
    for seq, at in enumerate(range(0, MILLION, 10_000), 1):
        steps = np.arange(at + 1, at + 10_001, dtype=float)
        data = np.concatenate([steps, steps / 1000, 1.7e9 + steps / 100, y[at : at + 10_000]]).tobytes()
        fields = {"step0": at + 1, "step1": at + 10_000, "n": 10_000, "names": ["loss"]}
        frames.append(MetricFrame(run=run, fence=1, seq=seq, data=data, **fields))
    MetricFrame.objects.bulk_create(frames)
    Run.objects.filter(pk=run.pk).update(last_seq=len(frames))
    compact.compact_run(run.pk, keep=30)
    assert MetricFrame.objects.count() == 30
    return run


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_nan_and_one_spike_are_in_the_answer_at_every_zoom(million: Run, viewer: Client, data: Any) -> None:
    lo = data.draw(st.one_of(st.none(), st.integers(1, MILLION), st.integers(NAN_AT - 50, NAN_AT + 50)), label="from")
    hi = data.draw(st.one_of(st.none(), st.integers(lo or 1, MILLION), st.just(max(lo or 1, SPIKE_AT))), label="to")
    width = data.draw(st.sampled_from([16, 100, 600, 1500, 4000]), label="width")
    query = {"metrics": "loss", "width": width, **{k: v for k, v in (("from", lo), ("to", hi)) if v is not None}}
    (found,) = of(million, viewer, **query).json()["series"]
    first, last = lo or 1, hi or MILLION
    has_nan, has_spike = first <= NAN_AT <= last, first <= SPIKE_AT <= last
    if found["bin"]:
        odd = [x for x, n in zip(found["x"], found["nonfinite"], strict=True) if n]
        high = [(x, v) for x, v in zip(found["x"], found["max"], strict=True) if v is not None and v > 50]
        assert sum(found["n"]) == last - first + 1
        assert sum(found["nonfinite"]) == len(odd) == has_nan
        assert len(high) == has_spike
        places = [(x, NAN_AT) for x in odd] + [(x, SPIKE_AT) for x, _ in high]
        assert all(x // found["bin"] == at // found["bin"] for x, at in places), "where they happened"
    else:
        assert found["x"] == list(range(first, last + 1))
        assert ("NaN" in found["last"]) == has_nan
        assert (99.0 in found["last"]) == has_spike


@pytest.mark.parametrize(
    ("trainer", "samples"),
    [
        ({}, 64),
        ({"accumulate_grad_batches": 4, "devices": 2, "num_nodes": 2}, 1024),
        ({"strategy": "ddp"}, None),
        ({"devices": "0,1"}, None),
        ({"accumulate_grad_batches": {"0": 2}}, None),
    ],
)
def test_samples_of_a_step_are_known_unless_the_machine_decides(
    people: People, trainer: dict[str, Any], samples: int | None
) -> None:
    run = make_run(people.project)
    run.spec = {**run.spec, "trainer": trainer}
    assert samples_a_step(run) == samples
    run.spec["data"]["args"] = {}
    assert samples_a_step(run) == (samples and samples // 2), "the default of the dataset's parameter"
