"""What becomes of a run that is ordered while it trains: cancelled, paused, saved, shut down, or without its lease."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from studio.runs.cancel import request_cancel, request_pause, request_save
from studio.runs.errors import RunError
from studio.runs.models import Run, State
from studio.worker import trainer
from studio.worker.standby import Standby
from studio.worker.supervisor import Supervisor
from tests.factories import make_external_run, make_run
from tests.worker.attempts import attempt_of, quick, run_that, standby, steps, supervise, when_running

__all__ = ["quick", "standby"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cancel_lets_the_trainer_save_first(standby: Standby) -> None:
    run = run_that("ready", "points:1-5", "wait", "checkpoint:5", "done:cancelled", "exit:3")
    began = time.monotonic()
    run = supervise(run, standby, when_running(run, lambda now: request_cancel(run=now, user=None)))
    assert time.monotonic() - began < 5
    assert (run.state, run.outcome) == (State.CANCELLED, "cancelled")
    assert "A checkpoint was saved" in run.reason
    assert run.checkpoints.get().step == 5


def test_a_cancel_without_a_checkpoint_does_not_claim_one(standby: Standby) -> None:
    lack = "The checkpoint of step 5 could not be written (No space left on device); there is no other."
    run = run_that("ready", "points:1-5", "wait", f"unsaved:{lack}", "done:cancelled", "exit:3")
    run = supervise(run, standby, when_running(run, lambda now: request_cancel(run=now, user=None)))
    assert (run.state, run.reason) == (State.CANCELLED, f"Stopped at step 10. {lack}")
    assert run.events.get(kind="unsaved").text == lack


def test_a_trainer_that_ignores_the_cancel_is_killed_after_the_grace(standby: Standby) -> None:
    run = run_that("deaf", "ready", "points:1-5", "wait")
    run = supervise(run, standby, when_running(run, lambda now: request_cancel(run=now, user=None)))
    assert run.state == State.CANCELLED
    assert "was killed" in run.reason
    assert steps(run) == [1, 2, 3, 4, 5]


def test_a_pause_gives_the_run_back(standby: Standby) -> None:
    run = run_that("ready", "wait", "checkpoint:5", "done:cancelled")
    run = supervise(run, standby, when_running(run, lambda now: request_pause(run=now, user=None)))
    assert run.state == State.PAUSED
    assert run.checkpoints.exists()


def test_a_checkpoint_that_was_asked_for_is_saved_and_kept_while_training_goes_on(standby: Standby) -> None:
    run = run_that("ready", "heed", "checkpoint:5:asked", "checkpoint:6", "done:ok")
    run = supervise(run, standby, when_running(run, lambda now: request_save(run=now, user=None)))
    assert run.state == State.SUCCEEDED
    assert list(run.checkpoints.order_by("step").values_list("step", "pinned")) == [(5, True), (6, False)]
    assert run.events.get(kind="notice").text == "system asked for a checkpoint; it follows after the current step."


def test_only_a_run_that_trains_is_asked_for_a_checkpoint(db: None) -> None:
    for state in (State.QUEUED, State.STARTING, State.SUCCEEDED):
        with pytest.raises(RunError, match="Only a running run can save a checkpoint"):
            request_save(run=make_run(state=state), user=None)
    with pytest.raises(RunError, match="outside of the studio"):
        request_save(run=make_external_run(state=State.RUNNING), user=None)


def test_a_worker_that_is_shut_down_saves_and_gives_the_run_back(standby: Standby) -> None:
    run = run_that("ready", "points:1-5", "wait", "checkpoint:5", "done:cancelled")
    run = supervise(run, standby, lambda: int(Run.objects.get(pk=run.pk).state == State.RUNNING))
    assert (run.state, run.outcome, run.restarts) == (State.QUEUED, "preempted", 0)
    assert "front of the queue" in run.reason


def test_a_second_signal_ends_the_run_at_once(standby: Standby, settings: Any) -> None:
    settings.CANCEL_GRACE_S = 60
    run = run_that("deaf", "ready", "wait")
    calls: list[int] = []

    def hook() -> int:
        if Run.objects.get(pk=run.pk).state == State.RUNNING:
            calls.append(1)
        return min(len(calls), 2)

    run = supervise(run, standby, hook)
    assert (run.state, run.outcome) == (State.QUEUED, "preempted")


def test_a_run_that_ends_while_the_worker_shuts_down_has_ended(standby: Standby) -> None:
    run = run_that("ready", "wait", "done:ok")
    run = supervise(run, standby, lambda: int(Run.objects.get(pk=run.pk).state == State.RUNNING))
    assert run.state == State.SUCCEEDED


def test_what_user_code_leaves_running_is_ended(standby: Standby, tmp_path: Path) -> None:
    run = supervise(run_that("ready", "child", "done:ok"), standby)
    assert run.state == State.SUCCEEDED
    pid = int((tmp_path / str(run.pk) / "a1" / "child.pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_process_that_sheds_its_environment_is_ended_too(standby: Standby, tmp_path: Path) -> None:
    trainer.adopt_orphans()
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        run = supervise(run_that("ready", "stray", "done:ok"), standby)
        assert run.state == State.SUCCEEDED
        assert not psutil.pid_exists(int((tmp_path / str(run.pk) / "a1" / "stray.pid").read_text()))
        assert other.poll() is None, "a child of the worker's own was ended"
    finally:
        other.kill()
        other.wait()


def test_a_lost_lease_kills_the_trainer_and_writes_nothing(standby: Standby) -> None:
    run = run_that("deaf", "ready", "points:1-5", "child", "wait")
    attempt = attempt_of(run)
    seen: dict[str, Any] = {}
    watched = Supervisor(attempt, standby, stops_asked=lambda: 0)

    def hook() -> int:
        now = Run.objects.get(pk=run.pk)
        if now.state == State.RUNNING and now.last_seq and "fence" not in seen:
            seen["fence"] = 2
            Run.objects.filter(pk=run.pk).update(fence=2, state=State.STARTING)
            seen["trainer"] = watched._trainer
        return 0

    watched._stops_asked = hook
    watched.run()
    run.refresh_from_db()
    attempt.refresh_from_db()
    assert seen["trainer"].poll() is not None
    assert not list(trainer.marked(lambda mark: mark == seen["trainer"].mark))
    assert (run.state, run.fence) == (State.STARTING, 2)
    assert (attempt.ended_at, attempt.outcome) == (None, "")
