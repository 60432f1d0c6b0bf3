"""Runs on machines that share an object store and no folder: what one wrote, another goes on from; a store that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.functions import Now

from studio.core import blobs
from studio.registry.models import DatasetVersion
from studio.runs import shared_checkpoints
from studio.runs.cancel import request_cancel, request_pause
from studio.runs.models import Checkpoint, Run, State, Worker
from studio.tracking.logs import read_log
from studio.worker import sharing, transfer
from studio.worker.standby import Standby
from studio.worker.supervisor import Supervisor
from studio.worker.transfer import Transfer
from tests.factories import make_worker
from tests.objects import Bucket, Machines, bucket, machines
from tests.worker.attempts import attempt_of, quick, run_that, standby, supervise, when_running

__all__ = ["bucket", "machines", "quick", "standby"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sending(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transfer]:
    """The thread of a worker on the machine that this is at the time."""
    monkeypatch.setattr(transfer, "EVERY_S", 0.02)
    monkeypatch.setattr(transfer, "AGAIN_S", 0.05)
    monkeypatch.setattr(sharing, "AGAIN_S", 0.05)
    found = Transfer()
    found.start()
    yield found
    found.close(10.0)


def eventually(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def again(run: Run, *words: str) -> Run:
    """What its next attempt does."""
    run.spec["model"]["args"] = {"act": list(words)}
    run.save(update_fields=["spec"])
    Run.objects.filter(pk=run.pk).update(not_before=Now())
    run.refresh_from_db()
    return run


def stopped_when(run: Run, step: int) -> Any:
    """The worker is asked to shut down once the checkpoint of that step has its row."""
    return lambda: int(Checkpoint.objects.filter(run=run, step=step).exists())


def test_a_run_goes_on_elsewhere_from_the_last_checkpoint_of_a_worker_that_shut_down(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    machines.on("first")
    run = run_that("ready", "points:1-10", "whole:10", "wait", "whole:12", "done:cancelled", "exit:3")
    Supervisor(attempt_of(run), standby, stops_asked=stopped_when(run, 10), transfer=sending).run()
    run.refresh_from_db()
    assert (run.state, run.outcome) == (State.QUEUED, "preempted")
    assert all(row.stored_at for row in run.checkpoints.all()), "the store had them before anybody else could go on"
    folder = machines.on("second")
    run = supervise(again(run, "resume", "ready", "done:ok"), standby)
    assert run.state == State.SUCCEEDED, run.reason
    name = "step-00000012-f1"
    assert read_log(run.pk).text == f"{name} weights of step 12\n"
    assert run.attempts.get(fence=2).resume_step == 12
    assert {path.name for path in (folder / f"runs/{run.pk}/checkpoints").iterdir()} == {name}


def test_after_a_kill_it_goes_on_from_what_the_store_has(
    standby: Standby, machines: Machines, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest was not sent, and the machine is gone with it."""
    machines.on("first")
    run = run_that("ready", "whole:10", "whole:20", "kill:9")
    run = supervise(run, standby)
    oldest = run.checkpoints.get(step=10)
    shared_checkpoints.send(oldest)
    Worker.objects.update(stopped_at=Now())
    machines.on("second")
    run = supervise(again(run, "resume", "ready", "done:ok"), standby)
    assert read_log(run.pk).text == "step-00000010-f1 weights of step 10\n"
    assert run.checkpoints.get(step=20).superseded


def test_a_damaged_newest_is_left_out_for_the_one_before(standby: Standby, machines: Machines, bucket: Bucket) -> None:
    machines.on("first")
    run = supervise(run_that("ready", "whole:10", "whole:20", "kill:9"), standby)
    assert shared_checkpoints.send_waiting() == 2
    bucket.put(f"runs/{run.pk}/checkpoints/step-00000020-f1/checkpoint.ckpt", b"weights of step 2X")
    machines.on("second")
    run = supervise(again(run, "resume", "ready", "done:ok"), standby)
    assert read_log(run.pk).text == "step-00000010-f1 weights of step 10\n"


def test_one_that_a_living_worker_has_yet_to_send_is_waited_for(
    standby: Standby, machines: Machines, bucket: Bucket, sending: Transfer
) -> None:
    sending.close(10.0)
    first = machines.on("first")
    run, holder = run_that("ready", "whole:10", "kill:9"), make_worker()
    Supervisor(attempt_of(run, holder), standby).run()
    row = run.checkpoints.get()
    machines.on("second")

    def send_from_the_first() -> None:
        eventually(lambda: "Waiting for its newest" in str(Run.objects.get(pk=run.pk).progress), "it says so")
        folder, prefix = first / f"runs/{run.pk}/checkpoints/{row.name}", f"runs/{run.pk}/checkpoints/{row.name}/"
        for path in folder.iterdir():
            bucket.put(prefix + path.name, path.read_bytes())
        Checkpoint.objects.filter(pk=row.pk).update(stored_at=Now())

    helper = threading.Thread(target=send_from_the_first)
    helper.start()
    run.refresh_from_db()
    run = supervise(again(run, "resume", "ready", "done:ok"), standby)
    helper.join(30)
    assert read_log(run.pk).text == "step-00000010-f1 weights of step 10\n"


def test_data_comes_from_the_store_and_a_store_that_is_away_is_waited_for(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    machines.on("web")
    run = run_that("read:path", "ready", "done:ok")
    digest, _ = blobs.put_bytes(b"rows of a table")
    DatasetVersion.objects.filter(pk=run.dataset_version_id).update(blobs={"path": digest})
    run.spec["data"]["files"] = {"path": str(blobs.path_of(digest))}
    run.save(update_fields=["spec"])
    folder = machines.on("worker")
    told: list[bool] = []

    def back_soon() -> None:
        with bucket.away():
            eventually(lambda: "Waiting for the object store" in str(Run.objects.get(pk=run.pk).progress), "said")
            told.append(True)

    helper = threading.Thread(target=back_soon)
    helper.start()
    eventually(lambda: not _answers(bucket), "the store is away")
    run = supervise(run, standby)
    helper.join(30)
    assert (run.state, told) == (State.SUCCEEDED, [True]), run.reason
    assert read_log(run.pk).text == "rows of a table\n"
    assert blobs.path_of(digest).is_relative_to(folder)


def _answers(bucket: Bucket) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", bucket.port), 1).close()
    except OSError:
        return False
    return True


def test_a_cancel_ends_the_wait_for_a_store_that_is_away(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    run = run_that("ready", "done:ok")
    DatasetVersion.objects.filter(pk=run.dataset_version_id).update(blobs={"path": "0" * 64})

    def cancel() -> None:
        eventually(lambda: "Waiting for the object store" in str(Run.objects.get(pk=run.pk).progress), "it waits")
        request_cancel(run=run, user=None)

    helper = threading.Thread(target=cancel)
    with bucket.away():
        helper.start()
        run = supervise(run, standby)
    helper.join(30)
    assert (run.state, run.outcome) == (State.CANCELLED, "cancelled"), run.reason


def test_data_that_nobody_has_any_more_is_an_outcome_in_words(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    run = run_that("ready", "done:ok")
    DatasetVersion.objects.filter(pk=run.dataset_version_id).update(blobs={"path": "0" * 64})
    run = supervise(run, standby)
    assert (run.state, run.outcome) == (State.QUEUED, "infra")
    assert "is not there" in run.reason


def test_a_run_trains_and_ends_while_the_store_is_away_and_nothing_is_lost(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    machines.on("worker")
    run = run_that("ready", "points:1-10", "whole:10", "points:11-20", "whole:20", "done:ok")
    with bucket.away():
        Supervisor(attempt_of(run), standby, transfer=sending).run()
        run.refresh_from_db()
        assert run.state == State.SUCCEEDED
        eventually(lambda: sending.state()["store"]["error"], "the worker says that the store is away")
        eventually(lambda: sending.state()["store"]["waiting"] == 2, "and what waits")
    eventually(lambda: run.checkpoints.filter(stored_at__isnull=False).count() == 2, "they are sent")
    eventually(lambda: sending.state() == {"store": {"error": "", "waiting": 0}}, "and that is said")
    sizes = [row.size_bytes + row.manifest_bytes for row in run.checkpoints.all()]
    assert sum(bucket.sizes().values()) == sum(sizes)


def test_a_worker_that_shuts_down_does_not_wait_for_a_store_that_is_away(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    run = run_that("ready", "whole:10", "wait", "done:cancelled", "exit:3")
    with bucket.away():
        began = time.monotonic()
        Supervisor(attempt_of(run), standby, stops_asked=stopped_when(run, 10), transfer=sending).run()
        assert time.monotonic() - began < 30
    run.refresh_from_db()
    assert run.outcome == "preempted"
    eventually(lambda: run.checkpoints.get().stored_at, "the next worker of the machine sends it")


def test_without_an_object_store_no_thread_is_started_and_nothing_is_asked(
    standby: Standby, settings: Any, django_assert_num_queries: Any
) -> None:
    found = Transfer()
    found.start()
    assert (found.state(), found._thread.is_alive()) == ({}, False)
    spec = {"data": {"files": {"path": "x"}}}
    with django_assert_num_queries(0):
        assert sharing.bring_files(spec, DatasetVersion(blobs={"path": "0" * 64}), None, lambda: None, print) is spec
    assert shared_checkpoints.remove_due() == 0


def test_a_pause_on_one_machine_is_resumed_on_another(
    standby: Standby, sending: Transfer, machines: Machines, bucket: Bucket
) -> None:
    machines.on("first")
    run = run_that("ready", "points:1-5", "wait", "whole:5", "done:cancelled", "exit:3")
    run = supervise(run, standby, when_running(run, lambda run: request_pause(run=run, user=None)))
    assert run.state == State.PAUSED
    eventually(lambda: run.checkpoints.get().stored_at, "it is sent")
    machines.on("second")
    Run.objects.filter(pk=run.pk).update(state=State.QUEUED)
    run.refresh_from_db()
    run = supervise(again(run, "resume", "ready", "done:ok"), standby)
    assert read_log(run.pk).text == "step-00000005-f1 weights of step 5\n"
