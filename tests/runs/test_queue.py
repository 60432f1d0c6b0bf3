"""The doorbell with a real queue server: rung once, rung again when lost, and never in the way."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from studio.runs import lease, queue, reap
from studio.runs.models import Run, Worker
from tests.factories import make_run, make_worker

pytestmark = pytest.mark.django_db(transaction=True)


def waiting(pool: str = "default") -> list[str]:
    return queue.waiting_ids(pool)


def long_ago(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(queued_at=Now() - timedelta(seconds=60))


def flush(server: Any) -> None:
    for key in server.scan_iter():
        server.delete(key)


def test_a_run_is_rung_for_when_its_transaction_is_committed(redis_server: Any) -> None:
    run = make_run()
    with transaction.atomic():
        queue.enqueue_run(run)
        assert waiting() == []
    assert waiting() == [f"run-{run.pk}-a1"]
    queue.enqueue_run(run)
    assert waiting() == [f"run-{run.pk}-a1"]


def test_the_wake_up_carries_nothing_but_the_key(redis_server: Any) -> None:
    run = make_run()
    queue.enqueue_run(run)
    job = queue.open_queue("runs").fetch_job(f"run-{run.pk}-a1")
    assert job is not None
    assert (job.func_name, job.kwargs, job.timeout) == (settings.EXECUTE_JOB, {"run_pk": run.pk}, -1)


def test_pools_have_queues_of_their_own(redis_server: Any) -> None:
    run = make_run(pool="gpu")
    queue.enqueue_run(run)
    assert waiting() == []
    assert waiting("gpu") == [f"run-{run.pk}-a1"]


def test_a_lost_queue_is_filled_again_once(redis_server: Any) -> None:
    runs = [make_run() for _ in range(3)]
    for run in runs:
        queue.enqueue_run(run)
        long_ago(run)
    assert reap.reconcile() == 0
    flush(redis_server)
    assert reap.reconcile() == 3
    assert len(waiting()) == 3
    assert reap.reconcile() == 0


def test_a_wake_up_that_died_with_its_worker_is_rung_again(redis_server: Any) -> None:
    run = make_run()
    long_ago(run)
    queue.enqueue_run(run)
    taken = queue.open_queue("runs").pop_job_id()
    assert taken == f"run-{run.pk}-a1"
    assert reap.reconcile() == 1


def test_a_run_that_waits_for_its_time_is_not_rung(redis_server: Any) -> None:
    run = make_run()
    assert lease.acquire_next(make_worker()) is not None
    lease.settle(run.pk, 1, outcome="lost", reason="")
    assert lease.acquire_next(make_worker()) is not None
    run = lease.settle(run.pk, 2, outcome="lost", reason="")
    flush(redis_server)
    long_ago(run)
    assert run.not_before > run.queued_at  # type: ignore[operator]
    assert reap.reconcile() == 0


def test_a_short_job_is_not_doubled_but_one_of_a_dead_worker_is_replaced(redis_server: Any) -> None:
    def control() -> list[str]:
        return list(queue.open_queue("control").get_job_ids())

    queue.enqueue_control("studio.ops.schedule.clear_sessions", version=4)
    queue.enqueue_control("studio.ops.schedule.clear_sessions", version=4)
    assert control() == ["clear_sessions-version-4"]
    worker = make_worker("w1")
    job = queue.open_queue("control").fetch_job("clear_sessions-version-4")
    assert job is not None
    queue.open_queue("control").pop_job_id()
    job.set_status("started")
    redis_server.hset(job.key, "worker_name", worker.name)
    queue.enqueue_control("studio.ops.schedule.clear_sessions", version=4)
    assert control() == []
    Worker.objects.filter(pk=worker.pk).update(stopped_at=Now())
    queue.enqueue_control("studio.ops.schedule.clear_sessions", version=4)
    assert control() == ["clear_sessions-version-4"]


def test_a_queue_that_is_away_costs_nothing_but_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    gone = redis.Redis.from_url("unix:///nowhere.sock")
    monkeypatch.setattr("django_rq.get_connection", lambda name: gone)
    run = make_run()
    long_ago(run)
    queue.enqueue_run(run)
    assert reap.reconcile() == 0
    assert "the queue is away" in caplog.text
