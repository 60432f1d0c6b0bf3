"""Odd points from the trainer's logger to the page: stored exactly, or refused with a reason that the run's page shows."""

from __future__ import annotations

import html
import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from django.urls import reverse

from studio.runs.models import Run, State
from studio.tracking.models import MetricFrame
from studio.worker.spool import SpoolReader, event_handler
from tests.access.people import People, make_people
from tests.factories import make_attempt, make_run
from trainer_core.events import SpoolWriter
from trainer_core.loggers import spool
from trainer_core.loggers.spool import SpoolLogger

INF, NAN, EDGE = math.inf, math.nan, 2**53
TAG = '<img src=x onerror="alert(1)">'
Rows = list[tuple[int, dict[Any, Any]]]

#: What is logged at which steps done before; the points of `m` or of the only name there is; what the page must say.
CASES: dict[str, tuple[Rows, list[tuple[float, Any]], list[str]]] = {
    "steps that go back": ([(9, {"m": 1.0}), (4, {"m": 2.0}), (6, {"m": 3.0})], [(5, 2), (7, 3), (10, 1)], []),
    "a step twice": ([(0, {"m": 1.0}), (0, {"m": 2.0})], [(1, 1), (1, 2)], []),
    "letters of the world": ([(0, {"потеря/損失 😀 é": 1.0})], [(1, 1)], []),
    "a thousand letters": ([(0, {"x" * 1000: 1.0})], [(1, 1)], []),
    "a name that is HTML": ([(0, {TAG: 1.0})], [(1, 1)], []),
    "not finite": (
        [(i, {"m": v}) for i, v in enumerate((NAN, INF, -INF, 5e-324))],
        [(1, "NaN"), (2, "Infinity"), (3, "-Infinity"), (4, 5e-324)],
        [],
    ),
    "whole numbers": ([(0, {"m": EDGE}), (1, {"m": -EDGE - 2}), (2, {"m": True})], [(1, EDGE), (2, -EDGE - 2), (3, 1)], []),
    "above 2^53": (
        [(0, {"m": 1.0, "big": EDGE + 1}), (1, {"m": 2.0, "big": 10**400}), (2, {"m": torch.tensor(3), "t": torch.tensor(EDGE + 1)})],
        [(1, 1), (2, 2), (3, 3)],
        ["big at step 1 was left out: 9007199254740993 is a whole number above 2^53", "t at step 3 was left out"],
    ),
    "no numbers": (
        [(0, {"m": 1.0, "a": "0.5", "b": None, "c": 1j, "d": torch.zeros(2)}), (1, {"m": 2.0, "d": torch.tensor(1j)})],
        [(1, 1), (2, 2)],
        ["a at step 1 was left out: a number is needed, got the text", "b at step", "c at step", "d at step 1 was left out: one number is needed"],
    ),
    "no names": (
        [(0, {"m": 1.0, "nul\0": 1.0, "half \ud800": 1.0, 7: 1.0})],
        [(1, 1)],
        [r"'nul\x00' at step", r"'half \ud800' at step", "7 at step 1 was left out: names are texts"],
    ),
    "steps that no float holds": ([(0, {"m": 1.0}), (EDGE + 4, {"m": 2.0})], [(1, 1)], ["m at step 9007199254740997 was left out: its step"]),
    "tensors of many kinds": (
        [(i, {"m": torch.tensor(v, dtype=t)}) for i, (v, t) in enumerate([(1, torch.int8), (0.5, torch.bfloat16), (True, torch.bool)])],
        [(1, 1), (2, 0.5), (3, 1)],
        [],
    ),
}  # fmt: skip


@pytest.fixture
def people(db: None) -> People:
    return make_people()


def logged(people: People, folder: Path, rows: Rows) -> Run:
    """A run whose trainer logged these rows, taken over by a worker."""
    run = make_run(people.project, state=State.RUNNING, fence=1)
    attempt = make_attempt(run, fence=1)
    logger = SpoolLogger(SpoolWriter(folder / "spool"))
    for step, values in rows:
        logger.log_metrics(values, step)
    logger.close()
    reader = SpoolReader(attempt, folder, event_handler(run.pk, 1))
    while reader.read():
        pass
    return run


def series(people: People, run: Run, **query: Any) -> list[dict[str, Any]]:
    answer = people.client("viewer").get(reverse("run-series", args=[run.pk]), query)
    assert answer.status_code == 200
    return answer.json()["series"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CASES)
def test_what_is_logged_is_stored_exactly_or_refused_aloud(people: People, tmp_path: Path, name: str) -> None:
    rows, points, said = CASES[name]
    run = logged(people, tmp_path, rows)
    (found,) = series(people, run)
    assert found["name"] == ("m" if "m" in rows[0][1] else next(iter(rows[0][1])))
    assert sorted(zip(found["x"], found["last"], strict=True)) == points
    run.refresh_from_db()
    assert run.summary[found["name"]]["count"] == len(points)
    page = people.client("viewer").get(reverse("run", args=[run.pk])).content.decode()
    assert TAG not in page
    assert html.escape(found["name"]) in page
    assert [words for words in said if html.escape(words) not in page] == []


def test_what_is_left_out_is_never_silent(people: People, tmp_path: Path) -> None:
    run = logged(people, tmp_path, [(i, {"m": 1.0, **{f"odd {k}": "text" for k in range(30)}}) for i in range(50)])
    notices = [event.text for event in run.events.filter(kind="notice")]
    assert len(notices) == 21
    assert notices[-1].startswith(
        "1,480 more values of 30 names left out, for example odd 29 at step 1: a number is needed"
    )


def test_a_clock_that_goes_back_is_kept_as_it_went(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [1000.5, 990.25, 1001.0]
    clock = SimpleNamespace(**{name: getattr(time, name) for name in ("monotonic", "sleep", "thread_time")})
    left = iter(times)
    clock.time = lambda: next(left)
    monkeypatch.setattr(spool, "time", clock)
    run = logged(people, tmp_path, [(i, {"m": float(i)}) for i in range(3)])
    (found,) = series(people, run, x="time")
    assert sorted(zip(found["x"], found["last"], strict=True)) == [(990.25, 1), (1000.5, 0), (1001.0, 2)]


def test_a_million_points_at_once_all_arrive(people: People, tmp_path: Path) -> None:
    names = [f"metric {k}" for k in range(1000)]
    rows: Rows = [(i, dict.fromkeys(names, float(i))) for i in range(1000)]
    run = logged(people, tmp_path, rows)
    shape = [(frame.n, len(frame.names)) for frame in MetricFrame.objects.filter(run_id=run.pk).defer("data")]
    assert sum(n * width for n, width in shape) == 10**6
    (found,) = series(people, run, metrics="metric 999", width=2000)
    assert found["x"] == list(range(1, 1001))
    assert found["last"] == list(range(1000))
