"""Several workers at once, on a real database file: one wins, the others see it."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connections

from studio.runs import lease
from studio.runs.cancel import request_cancel
from studio.runs.errors import RunError, StaleState
from studio.runs.models import Run, State
from studio.runs.submit import rerun
from tests.factories import make_run, make_user, make_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Each call in a thread of its own, all let go together; what they return, or the error that they raise."""
    gate, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(index: int) -> None:
        try:
            gate.wait(10)
            results[index] = calls[index]()
        except Exception as error:
            results[index] = error  # type: ignore[call-overload]
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_one_of_many_workers_acquires_a_run() -> None:
    workers = [make_worker() for _ in range(8)]
    for _ in range(10):
        run = make_run()
        got = at_once(*(partial(lease.acquire, run.pk, worker) for worker in workers))
        assert not [g for g in got if isinstance(g, Exception)]
        assert [a.fence for a in got if a is not None] == [1]
        assert run.attempts.count() == 1


def test_workers_share_the_queue_without_taking_a_run_twice() -> None:
    runs = [make_run() for _ in range(12)]
    workers = [make_worker() for _ in range(4)]

    def take_all(worker: Any) -> list[int]:
        taken = []
        while (attempt := lease.acquire_next(worker)) is not None:
            taken.append(attempt.run_id)
        return taken

    got = at_once(*(partial(take_all, worker) for worker in workers))
    assert sorted(pk for taken in got for pk in taken) == sorted(run.pk for run in runs)


def test_a_cancel_and_an_end_at_once_leave_one_consistent_story() -> None:
    for _ in range(10):
        run = make_run()
        assert lease.acquire(run.pk, make_worker()) is not None
        lease.ready(run.pk, 1, 0)
        found = Run.objects.get(pk=run.pk)
        cancelled, settled = at_once(
            lambda found=found: request_cancel(run=found, user=None),
            lambda run=run: lease.settle(run.pk, 1, outcome="ok", reason="Done."),
        )
        run.refresh_from_db()
        assert run.state in (State.SUCCEEDED, State.CANCELLED)
        assert isinstance(cancelled, RunError if run.state == State.SUCCEEDED else Run), cancelled
        assert isinstance(settled, Run)
        assert run.attempts.get().ended_at is not None
        path = list(run.events.filter(kind="state").values_list("from_state", "to_state"))
        assert all(a[1] == b[0] for a, b in zip(path, path[1:], strict=False))


def test_the_reaper_and_a_heartbeat_never_both_win() -> None:
    for _ in range(10):
        run = make_run()
        assert lease.acquire(run.pk, make_worker()) is not None
        held, reaped = at_once(
            lambda run=run: lease.beat(run.pk, 1),
            lambda run=run: lease.settle(run.pk, 1, outcome="lost", reason="Gone."),
        )
        run.refresh_from_db()
        assert isinstance(reaped, Run)
        assert not isinstance(held, Exception)
        assert run.state == State.QUEUED
        assert lease.beat(run.pk, 1) is None


def test_two_ends_of_one_attempt_are_one() -> None:
    run = make_run()
    assert lease.acquire(run.pk, make_worker()) is not None
    lease.ready(run.pk, 1, 0)
    got = at_once(*[lambda: lease.settle(run.pk, 1, outcome="ok", reason="")] * 4)
    assert sorted(type(g).__name__ for g in got) == ["Run", "StaleState", "StaleState", "StaleState"]
    assert StaleState in map(type, got)


def test_a_request_sent_many_times_makes_one_run() -> None:
    user, run = make_user(), make_run(state=State.SUCCEEDED)
    got = at_once(*[lambda: rerun(run=run, user=user, idempotency_key="abc")] * 6)
    assert len({g.pk for g in got}) == 1, got
    assert Run.objects.filter(parent=run).count() == 1
