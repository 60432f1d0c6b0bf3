"""Many processes submit, claim, move and change runs at once: none is taken twice, no GPU shared, no order broken."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from studio.accounts.models import User
from studio.runs import lease, pools, reorder
from studio.runs.errors import StaleState
from studio.runs.models import Attempt, GpuClaim, Run, State, Worker
from studio.runs.submit import rerun
from tests.benchmarks.queue import crowd
from tests.factories import make_project, make_run, make_team, make_user, make_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]
CLAIMERS, SUBMITTERS, EACH = 4, 3, 8
LIMIT_S = 120.0


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def process(work: Callable[..., None], *args: Any) -> Any:
    """A process of its own with its own connection; its exit code tells whether `work` raised."""

    def run() -> None:
        try:
            work(*args)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 1
        connections.close_all()
        os._exit(code)

    connections.close_all()
    started = multiprocessing.get_context("fork").Process(target=run)
    started.start()
    return started


def joined(processes: list[Any]) -> None:
    for one in processes:
        one.join(LIMIT_S)
    left = [one for one in processes if one.is_alive()]
    for one in left:
        one.kill()
    assert not left and [one.exitcode for one in processes] == [0] * len(processes)


def claim(worker_pk: int, until: int) -> None:
    """Take runs and end them, until so many attempts have ended."""
    worker, deadline = Worker.objects.get(pk=worker_pk), time.monotonic() + LIMIT_S
    while Attempt.objects.filter(ended_at__isnull=False).count() < until:
        assert time.monotonic() < deadline, "nothing is left to take, or it cannot be taken"
        attempt = lease.acquire_next(worker)
        if attempt is None:
            time.sleep(0.01)
            continue
        claims = set(GpuClaim.objects.filter(run=attempt.run_id).values_list("device", flat=True))
        assert claims == set(attempt.devices or [])
        lease.settle(attempt.run_id, attempt.fence, outcome="user_error", reason="")


def submit(run_pk: int, user_pk: int) -> None:
    like, user = Run.objects.get(pk=run_pk), User.objects.get(pk=user_pk)
    for _ in range(EACH):
        rerun(run=like, user=user)


def rearrange(user_pk: int, seed: int, rounds: int) -> None:
    """Moves, and runs that are sent to the end of another priority and back."""
    user, dice = User.objects.get(pk=user_pk), random.Random(seed)
    for _ in range(rounds):
        waiting = list(reorder.editable(Run.objects.filter(state=State.QUEUED), user)[:30])
        if not waiting:
            time.sleep(0.02)
            continue
        try:
            if dice.random() < 0.7:
                reorder.move(run=dice.choice(waiting), user=user, where=dice.choice(reorder.WHERE))
            else:
                reorder.change(run=dice.choice(waiting), user=user, given={"priority": dice.choice((0, 0, 1))})
        except StaleState:
            continue


def toggle(user_pk: int, worker_pk: int) -> None:
    user, worker = User.objects.get(pk=user_pk), Worker.objects.get(pk=worker_pk)
    for _ in range(4):
        pools.pause_pool(name="default", user=user)
        pools.drain(worker=worker, user=user)
        time.sleep(0.02)
        pools.resume_pool(name="default", user=user)
        pools.drain(worker=worker, user=user, draining=False)


def test_many_at_once_take_each_run_once_and_share_no_gpu() -> None:
    users = [make_user() for _ in range(SUBMITTERS)]
    likes = [
        make_run(make_project(team=make_team(editor=user)), state=State.SUCCEEDED, gpus=gpus, fence=0)
        for user, gpus in zip(users, (0, 1, 2), strict=True)
    ]
    workers = [make_worker(devices=["0", "1", "2"], pid=os.getpid()) for _ in range(CLAIMERS)]
    total = SUBMITTERS * EACH
    processes = [process(submit, like.pk, user.pk) for like, user in zip(likes, users, strict=True)]
    processes += [process(rearrange, user.pk, seed, 15) for seed, user in enumerate(users)]
    processes += [process(claim, worker.pk, total) for worker in workers]
    processes.append(process(toggle, users[0].pk, workers[0].pk))
    joined(processes)
    attempts = list(Attempt.objects.select_related("run").order_by("pk"))
    assert len(attempts) == total
    assert len({attempt.run_id for attempt in attempts}) == total
    assert all(len(attempt.devices) == attempt.run.gpus for attempt in attempts)
    assert not GpuClaim.objects.exists()
    for device in ("0", "1", "2"):
        spans = sorted((a.started_at, a.ended_at) for a in attempts if device in a.devices)
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False)), device


def test_workers_at_once_take_runs_in_the_order_of_the_queue() -> None:
    user = make_user()
    project = make_project(team=make_team(editor=user))
    first = make_run(project)
    like = {"model_version": first.model_version, "dataset_version": first.dataset_version}
    for number in range(23):
        make_run(project, priority=number % 2, **like)
    joined([process(rearrange, user.pk, seed, 10) for seed in range(3)])
    wanted = list(Run.objects.in_order().values_list("pk", flat=True))
    joined([process(claim, make_worker().pk, len(wanted)) for _ in range(CLAIMERS)])
    taken = list(Attempt.objects.order_by("started_at", "pk").values_list("run_id", flat=True))
    assert sorted(taken) == sorted(wanted)
    # As many as claim at once may be a little before or behind one another; nobody is passed over.
    assert max(abs(taken.index(pk) - place) for place, pk in enumerate(wanted)) < CLAIMERS


def test_a_crowd_is_served_in_order_whatever_becomes_of_its_workers() -> None:
    found = crowd(count=45)
    assert found["waiting runs"] == 45
