"""Who may take which run: pools, labels, limits of teams, what comes first, and GPUs that nobody shares."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from studio.runs import lease, pools, reap, slots
from studio.runs.models import GpuClaim, Run, State, TeamLimit, Worker
from tests.factories import make_project, make_run, make_team, make_user, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)
    monkeypatch.setattr(reap.looks, "are_unbroken", lambda: True)


def here(*devices: str, **fields: Any) -> Worker:
    """A worker of this machine with GPUs that need not exist."""
    return make_worker(devices=list(devices), pid=os.getpid(), **fields)


def taken_by(worker: Worker) -> int | None:
    attempt = lease.acquire_next(worker)
    return attempt.run_id if attempt else None


def test_a_paused_pool_starts_nothing_and_others_do() -> None:
    waits, other = make_run(), make_run(pool="gpu")
    admin = make_user()
    pools.pause_pool(name="default", user=admin, note="moving house")
    assert taken_by(make_worker()) is None
    assert lease.acquire(waits.pk, make_worker()) is None
    assert taken_by(make_worker(pool="gpu")) == other.pk
    pools.resume_pool(name="default", user=admin)
    assert taken_by(make_worker()) == waits.pk


def test_a_drained_worker_takes_nothing() -> None:
    run, worker = make_run(), make_worker()
    pools.drain(worker=worker, user=make_user())
    assert taken_by(worker) is None
    pools.drain(worker=worker, user=make_user(), draining=False)
    assert taken_by(worker) == run.pk


def test_a_run_waits_for_what_it_comes_after() -> None:
    first = make_run(state=State.RUNNING)
    second = make_run(first.project, after=first)
    worker = make_worker()
    assert taken_by(worker) is None
    Run.objects.filter(pk=first.pk).update(state=State.FAILED)
    assert taken_by(worker) is None
    Run.objects.filter(pk=first.pk).update(state=State.SUCCEEDED)
    assert taken_by(worker) == second.pk


def test_labels_are_asked_for_and_do_not_hold_up_others() -> None:
    special, plain = make_run(labels=["a100"], priority=5), make_run()
    assert taken_by(make_worker()) == plain.pk
    assert lease.acquire(special.pk, make_worker(labels=["ssd"])) is None
    assert taken_by(make_worker(labels=["ssd", "a100"])) == special.pk


def test_a_team_has_no_more_runs_at_work_than_it_may() -> None:
    team = make_team()
    project = make_project(team=team)
    mine = [make_run(project, priority=5) for _ in range(3)]
    other = make_run()
    TeamLimit.objects.create(team=team, max_runs=1)
    assert taken_by(make_worker()) == mine[0].pk
    assert lease.acquire(mine[1].pk, make_worker()) is None
    assert taken_by(make_worker()) == other.pk
    lease.settle(mine[0].pk, 1, outcome="user_error", reason="")
    assert taken_by(make_worker()) == mine[1].pk


def test_a_team_has_no_more_gpus_than_it_may() -> None:
    team = make_team()
    first, second = (make_run(make_project(team=team), gpus=2) for _ in range(2))
    TeamLimit.objects.create(team=team, max_gpus=3)
    assert taken_by(here("0", "1", "2", "3")) == first.pk
    assert lease.acquire(second.pk, here("0", "1", "2", "3")) is None
    assert taken_by(here("0", "1", "2", "3")) is None
    assert GpuClaim.objects.count() == 2


def test_workers_of_a_machine_share_out_its_gpus_and_none_twice() -> None:
    for count in (2, 1, 1, None):
        make_run(gpus=count)
    attempts = [lease.acquire_next(here("0", "1", "2", "3", "4")) for _ in range(4)]
    assert [attempt.devices for attempt in attempts if attempt] == [["0", "1"], ["2"], ["3"], ["4"]]
    make_run(gpus=1)
    assert taken_by(here("3", "4")) is None
    assert taken_by(here("0", "9", host="another")) is not None


def test_gpus_of_another_machine_have_the_same_numbers() -> None:
    make_run(gpus=1), make_run(gpus=1)
    assert taken_by(here("0", host="one")) is not None
    assert taken_by(here("0", host="two")) is not None


def test_a_run_without_gpus_takes_none_and_a_worker_without_gives_none() -> None:
    cpu, auto = make_run(gpus=0, priority=1), make_run()
    attempt = lease.acquire(cpu.pk, here("0"))
    assert attempt is not None and attempt.devices == []
    attempt = lease.acquire(auto.pk, make_worker())
    assert attempt is not None and attempt.devices is None
    assert lease.acquire(make_run(gpus=1).pk, make_worker()) is None


@pytest.mark.parametrize(
    ("gpus", "trainer", "has_gpus", "count"),
    [
        (None, {}, True, 1), (None, {}, False, 0), (3, {"devices": "1"}, True, 3), (None, {"devices": 2}, True, 2),
        (None, {"devices": 2}, False, 0), (None, {"accelerator": "gpu", "devices": 2}, False, 2),
        (None, {"accelerator": "cpu", "devices": 4}, True, 0), (0, {"accelerator": "gpu"}, True, 0),
    ],
)  # fmt: skip
def test_how_many_gpus_a_run_wants(gpus: Any, trainer: Any, has_gpus: bool, count: int) -> None:
    assert slots.wanted_of(gpus, trainer, has_gpus) == count


def test_a_run_that_needs_many_gpus_is_not_passed_over_for_ever() -> None:
    small = [make_run(gpus=1) for _ in range(2)]
    large = make_run(gpus=2, priority=1)
    Run.objects.filter(pk=large.pk).update(priority=0)
    lease.acquire(small[0].pk, here("0", "1"))
    late, cpu = make_run(gpus=1, turn=Now() + timedelta(hours=1)), make_run(gpus=0)
    Run.objects.filter(pk=large.pk).update(turn=Now() - timedelta(hours=1))
    assert taken_by(here("0", "1")) == cpu.pk
    assert taken_by(here("0", "1")) is None
    lease.settle(small[0].pk, 1, outcome="user_error", reason="")
    assert taken_by(here("0", "1")) == large.pk
    assert late.pk


def test_gpus_are_free_again_when_the_attempt_ends() -> None:
    run = make_run(gpus=1)
    assert lease.acquire(run.pk, here("0")) is not None
    lease.settle(run.pk, 1, outcome="user_error", reason="")
    assert not GpuClaim.objects.exists()


def test_a_silent_worker_keeps_its_gpu_until_it_is_gone() -> None:
    run, holder, other = make_run(gpus=1), here("0"), here("0")
    assert lease.acquire(run.pk, holder) is not None
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(minutes=1))
    assert reap.reap_lost() == 1
    assert taken_by(other) is None  # its trainer may still be there
    slots.let_go(run.pk, 1)
    assert taken_by(other) == run.pk
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(minutes=1))
    assert reap.reap_lost() == 1
    Run.objects.filter(pk=run.pk).update(not_before=Now())
    Worker.objects.filter(pk=other.pk).update(pid=2**22 + 5)  # no such process
    assert taken_by(holder) == run.pk


def test_looking_for_a_run_costs_few_queries(django_assert_max_num_queries: Any) -> None:
    TeamLimit.objects.create(team=make_team(), max_runs=0)
    project = make_project()
    for _ in range(30):
        make_run(project, labels=["none-has-it"])
    with django_assert_max_num_queries(5):
        assert taken_by(here("0")) is None


def test_time_that_is_over_stops_a_run_as_a_cancel_does() -> None:
    run = make_run(max_runtime_s=60)
    assert lease.acquire(run.pk, make_worker()) is not None
    lease.ready(run.pk, 1, 0)
    lease.overtime(run.pk, 1, "Its maximum runtime is over.")
    run.refresh_from_db()
    assert (run.state, run.reason) == (State.CANCELLING, "Its maximum runtime is over.")
    run = lease.settle(run.pk, 1, outcome="time_limit", reason="Stopped after its maximum runtime.")
    assert (run.state, run.outcome, run.reason) == (
        State.CANCELLED, "time_limit", "Stopped after its maximum runtime.",
    )  # fmt: skip
    assert lease.time_used_s(run) > 0
