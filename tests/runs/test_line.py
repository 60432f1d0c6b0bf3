"""What people are told of a waiting run: its place, why it waits, and about when it starts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.runs import lease, pools
from studio.runs.estimate import Job, Outlook, starts
from studio.runs.line import Line, Place, place_of
from studio.runs.models import Run, State, TeamLimit, Worker
from tests.factories import make_project, make_run, make_user, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def look(run: Run) -> Place:
    place = place_of(run)
    assert place is not None
    return place


def ended(run: Run, seconds: float) -> Run:
    """A run like this one that has succeeded after so long."""
    start = timezone.now() - timedelta(hours=2)
    fields = {"model_version": run.model_version, "dataset_version": run.dataset_version}
    times = {"started_at": start, "ended_at": start + timedelta(seconds=seconds)}
    return make_run(run.project, state=State.SUCCEEDED, **fields, **times)


def soon(**time: float) -> datetime:
    return timezone.now() + timedelta(**time)


def test_why_it_waits_in_words() -> None:
    run = make_run()
    assert look(run).why == "No worker is online."
    worker = make_worker(labels=["ssd"])
    assert look(run).why == "It is next, and a worker is free."
    cases: list[tuple[dict[str, Any], str]] = [
        ({"not_before": soon(hours=3, seconds=1)}, "Scheduled to start in 3 h 00 min."),
        ({"not_before": soon(seconds=20), "fence": 1}, "It starts again in 20 s."),
        ({"labels": ["a100"]}, "No worker that is online has the label a100."),
        ({"labels": ["ssd"]}, "It is next, and a worker is free."),
        ({"gpus": 4}, "No worker that could take it has a GPU."),
        ({"pool": "gpu"}, "No worker of the pool gpu is online."),
    ]
    for fields, words in cases:
        assert look(make_run(priority=9, **fields)).why == words
        Run.objects.filter(priority=9).delete()
    Worker.objects.filter(pk=worker.pk).update(devices=["0", "1"])
    assert look(make_run(gpus=4, priority=9)).why == "It needs 4 GPUs; the largest worker that could take it has 2."
    assert look(run).why == "1 run before it."
    Run.objects.filter(priority=9).delete()
    pools.drain(worker=worker, user=make_user())
    assert look(run).why == "The worker that could take it is being drained."
    pools.pause_pool(name="default", user=make_user("anna"), note="new cards")
    assert look(run).why == "The pool default is paused by anna: “new cards”."


def test_what_it_comes_after_is_named() -> None:
    first = make_run(state=State.RUNNING)
    run = make_run(first.project, after=first)
    make_worker()
    assert look(run).why == f"It starts after run #{first.number} has succeeded, which is running."
    Run.objects.filter(pk=first.pk).update(state=State.FAILED)
    assert "which failed: resume that one, or let this one start without it." in look(run).why


def test_a_team_at_its_limit_is_told_so() -> None:
    project = make_project()
    busy, waits = make_run(project, gpus=1), make_run(project, gpus=1)
    limit = TeamLimit.objects.create(team=project.team, max_runs=1)
    assert lease.acquire(busy.pk, make_worker(devices=["0", "1"])) is not None
    make_worker(devices=["0", "1"])
    assert look(waits).why == f"The team {project.team} has reached its limit of 1 run at a time."
    TeamLimit.objects.filter(pk=limit.pk).update(max_runs=None, max_gpus=1)
    assert look(waits).why == f"The team {project.team} may have 1 GPU at a time; this needs 1."


def test_gpus_that_are_in_use_are_counted() -> None:
    busy, waits = make_run(gpus=2), make_run(gpus=2)
    assert lease.acquire(busy.pk, make_worker(devices=["0", "1", "2"])) is not None
    make_worker(devices=["0", "1", "2"])
    assert look(waits).why == "It is next; it needs 2 GPUs, and 1 is free."


def test_the_start_is_estimated_from_the_parent_or_from_runs_like_it() -> None:
    run = make_run()
    parent = ended(run, 1000)
    ended(run, 100), ended(run, 140), ended(run, 120)
    assert look(run).starts_in_s is None  # no worker
    make_worker()
    assert look(run).starts_in_s == 0
    fields = {"model_version": run.model_version, "dataset_version": run.dataset_version}
    child = make_run(run.project, parent=parent, **fields)
    last = make_run(run.project, **fields)
    places = Line().places()
    assert [places[r.pk].place for r in (run, child, last)] == [1, 2, 3]
    assert places[child.pk].starts_in_s == pytest.approx(130)
    assert places[last.pk].starts_in_s == pytest.approx(1130)


def test_a_longer_run_of_the_same_kind_takes_longer() -> None:
    run = make_run()
    fields = {"model_version": run.model_version, "dataset_version": run.dataset_version}
    make_worker()
    ended(run, 23)  # 20 s of training, for 2 epochs
    longer = make_run(run.project, **fields)
    longer.spec["trainer"]["max_epochs"] = 10
    other = make_run(run.project, **fields)
    other.spec["trainer"] = {"max_time": "5min"}
    for one in (longer, other):
        one.save(update_fields=["spec"])
    last = make_run(run.project, **fields)
    places = Line().places()
    at = [places[one.pk].starts_in_s for one in (longer, other, last)]
    assert at == pytest.approx([23, 23 + 103, 23 + 103 + 23])


def test_what_a_trainer_says_of_its_end_counts() -> None:
    busy, waits = make_run(), make_run()
    assert lease.acquire(busy.pk, make_worker()) is not None
    assert look(waits).starts_in_s is None
    assert look(waits).why == "It is next; the worker is busy."
    Run.objects.filter(pk=busy.pk).update(state=State.RUNNING, progress={"eta_s": 90.0})
    assert look(waits).starts_in_s == 90
    assert look(waits).why == "It is next; the worker is busy for about 1 min 30 s."


def test_a_look_costs_the_same_whatever_waits(django_assert_max_num_queries: Any) -> None:
    run = make_run()
    make_worker()
    fields = {"model_version": run.model_version, "dataset_version": run.dataset_version}
    for _ in range(30):
        make_run(run.project, parent=ended(run, 10), **fields)
    with django_assert_max_num_queries(10):
        assert len(Line().places()) == 31


Jobs = st.lists(
    st.tuples(st.sampled_from([None, 1.0, 10.0, 25.0]), st.sampled_from([0.0, 0.0, 30.0]), st.integers(0, 12), st.integers(1, 3)),
    max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(Jobs, st.lists(st.sampled_from([None, 0.0, 5.0]), min_size=1, max_size=3), st.booleans())
def test_an_estimate_never_puts_two_runs_in_one_place(made: Any, free: Any, limited: bool) -> None:
    places = frozenset(range(len(free)))
    jobs = [
        Job(pk, team, length, gate, after if after < len(made) and after != pk else None, places)
        for pk, (length, gate, after, team) in enumerate(made)
    ]
    most = {1: 1} if limited else {}
    found = starts(jobs, Outlook(dict(enumerate(free)), most=most))
    lengths = {job.pk: job.length_s or 1e9 for job in jobs}
    for pk, at in found.items():
        job = jobs[pk]
        assert at >= job.not_before_s
        if job.after is not None:
            assert at >= found[job.after] + lengths[job.after]
        running = [p for p in found if found[p] <= at < found[p] + lengths[p]]
        assert len(running) <= len(free)
        if limited and job.team == 1:
            assert sum(jobs[p].team == 1 for p in running) == 1


def test_unscheduled_runs_start_in_the_order_that_they_have() -> None:
    jobs = [Job(pk, 1, 10.0, fits=frozenset({1, 2})) for pk in range(20)]
    found = starts(jobs, Outlook({1: 0.0, 2: 3.0}))
    assert list(found) == list(range(20))
    assert found[19] == pytest.approx(93)
