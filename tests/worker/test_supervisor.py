"""Attempts with real processes: what becomes of the run when its trainer ends well, badly, late or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from studio.runs import lease
from studio.runs.models import GpuClaim, Run, State
from studio.tracking.logs import read_log
from studio.worker import supervisor, trainer
from studio.worker.standby import Standby
from studio.worker.supervisor import Supervisor
from tests.factories import make_attempt, make_worker
from tests.worker.attempts import attempt_of, quick, run_that, standby, steps, supervise

__all__ = ["quick", "standby"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_that_ends_well_has_its_points_log_and_checkpoint(standby: Standby) -> None:
    run = run_that("print:hello", "ready", "points:1-10", "progress:10", "checkpoint:10", "points:11-20", "done:ok")
    run = supervise(run, standby)
    assert (run.state, run.outcome, run.reason) == (State.SUCCEEDED, "ok", "It ended: ok.")
    assert steps(run) == list(range(1, 21))
    assert run.progress["step"] == 10
    assert run.checkpoints.get().step == 10
    assert read_log(run.pk).text == "hello\n"
    attempt = run.attempts.get()
    assert attempt.outcome == "ok"
    assert attempt.ready_at is not None
    assert attempt.ended_at is not None
    assert attempt.host["device"] == "cpu"


def test_a_trainer_begins_with_the_gpus_that_its_run_was_given(standby: Standby) -> None:
    worker = make_worker(devices=["0", "3", "GPU-7a"])
    seen = []
    for gpus in (1, 2, 0, 3):
        standby.refill()
        run = run_that("gpus", "ready", "done:ok", gpus=gpus)
        attempt = attempt_of(run, worker)
        assert GpuClaim.objects.count() == gpus
        Supervisor(attempt, standby).run()
        assert not GpuClaim.objects.exists()
        seen.append(read_log(run.pk).text)
    assert seen == [
        f"began with ['CUDA_VISIBLE_DEVICES={gpus}'] sees {gpus}\n" for gpus in ("0", "0,3", "", "0,3,GPU-7a")
    ]


def test_a_trainer_that_lost_its_lease_keeps_its_gpu_until_it_is_killed(standby: Standby) -> None:
    run = run_that("ready", "wait", "done:ok", gpus=1)
    attempt = attempt_of(run, make_worker(devices=["0"]))
    claimed: list[int] = []

    def superseded() -> int:
        if not claimed and Run.objects.get(pk=run.pk).state == State.RUNNING:
            lease.settle(run.pk, 1, outcome="lost", reason="Silent.")
            claimed.append(GpuClaim.objects.count())
        return 0

    Supervisor(attempt, standby, stops_asked=superseded).run()
    assert claimed == [1]
    assert not GpuClaim.objects.exists()


def test_a_run_that_has_had_its_time_saves_first_and_says_so(standby: Standby) -> None:
    run = run_that("ready", "points:1-5", "wait", "checkpoint:5", "done:cancelled", "exit:3", max_runtime_s=1)
    run = supervise(run, standby)
    assert (run.state, run.outcome) == (State.CANCELLED, "time_limit")
    assert run.reason == (
        "Stopped at step 10 after its maximum runtime of 1 s. A checkpoint was saved. Resume gives it as much again."
    )
    assert run.checkpoints.get().step == 5


def test_earlier_attempts_count_towards_the_maximum_runtime(standby: Standby) -> None:
    run = run_that("ready", "wait", "done:cancelled", max_runtime_s=3600, fence=1)
    start = timezone.now() - timedelta(hours=3)
    make_attempt(run, fence=1, started_at=start, ended_at=start + timedelta(hours=1))
    assert supervise(run, standby).outcome == "time_limit"


def test_what_a_run_takes_of_its_machine_is_kept(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.worker.system.RATES", ((float("inf"), 0.05),))
    run = run_that("ready", "wait", "done:cancelled")

    def enough() -> int:
        return int(run.system_samples.count() >= 3)

    supervise(run, standby, enough)
    first, *others = run.system_samples.all()
    assert len(others) >= 2
    assert first.fence == 1
    assert 0 < first.age_s < others[-1].age_s
    assert first.values["memory.run"] > 5


def _stops_when_running() -> int:
    return int(Run.objects.filter(state=State.RUNNING).exists())


def test_a_machine_that_cannot_be_looked_at_ends_no_run(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "/proc/net/dev")

    monkeypatch.setattr(supervisor, "Sampler", denied)
    run = supervise(run_that("ready", "points:1-5", "progress:5", "wait", "done:ok"), standby, _stops_when_running)
    assert run.outcome == "ok"
    assert not run.system_samples.exists()


def test_a_trainer_that_is_killed_starts_again_from_its_newest_checkpoint(standby: Standby) -> None:
    first = ["ready", "points:1-10", "checkpoint:10", "points:11-15", "kill:9"]
    run = run_that(first, ["ready", "points:8-30", "done:ok"])
    run = supervise(run, standby)
    assert run.state == State.QUEUED
    assert "signal 9" in run.reason
    assert "Restarting (attempt 2, restart 1 of 5)." in run.reason
    run = supervise(run, standby)
    assert run.state == State.SUCCEEDED
    assert steps(run) == list(range(1, 31))
    assert run.attempts.get(fence=2).resume_step == 10
    assert run.attempts.get(fence=1).valid_to_step == 10


@pytest.mark.parametrize(
    ("word", "words"), [("exit:0", "exit code 0"), ("exit:3", "exit code 3"), ("kill:11", "SIGSEGV")]
)
def test_an_end_without_a_result_is_no_success(standby: Standby, word: str, words: str) -> None:
    run = supervise(run_that("ready", "points:1-3", word), standby)
    assert (run.state, run.outcome) == (State.FAILED, "died")
    assert words in run.reason
    assert "at step 3" in run.reason


def test_an_error_of_the_users_code_fails_without_a_restart(standby: Standby) -> None:
    run = supervise(run_that("ready", "done:user_error", "exit:1"), standby)
    assert (run.state, run.outcome, run.fence) == (State.FAILED, "user_error", 1)


def test_a_trainer_without_progress_is_ended_with_its_stacks(standby: Standby, settings: Any) -> None:
    settings.HUNG_AFTER_S = 1.0
    run = supervise(run_that("ready", "points:1-2", "wait"), standby)
    assert (run.state, run.outcome) == (State.QUEUED, "hung")
    assert "do_wait" in read_log(run.pk, 1).text


def test_a_trainer_that_does_not_end_after_its_last_word_is_ended(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DONE_GRACE_S", 0.1)
    run = supervise(run_that("deaf", "ready", "done:ok", "wait"), standby)
    assert run.state == State.SUCCEEDED


def test_a_trainer_that_cannot_start_tells_why_in_the_log(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "COMMAND", [sys.executable, "-c", "import sys; sys.exit('no torch here')"])
    run = supervise(run_that("ready"), standby)
    assert run.state == State.FAILED
    assert "before its first step" in run.reason
    assert "no torch here" in read_log(run.pk).text


def test_a_run_directory_that_cannot_be_written_is_the_studios_fault(
    standby: Standby, settings: Any, tmp_path: Path
) -> None:
    settings.RUNS_DIR = tmp_path / "file"
    settings.RUNS_DIR.write_text("in the way")
    run = supervise(run_that("ready"), standby)
    assert (run.state, run.outcome) == (State.QUEUED, "infra")
    assert "Not a directory" in run.reason


def test_records_that_do_not_fit_are_left_out_and_told(standby: Standby, tmp_path: Path) -> None:
    run = supervise(run_that("ready", "points:1-5", "forge", "points:6-9", "done:ok"), standby)
    assert run.state == State.SUCCEEDED
    assert steps(run) == list(range(1, 10))
    assert not run.checkpoints.exists()
    assert run.events.filter(kind="notice").count() == 8


def test_a_damaged_part_of_the_spool_costs_only_itself(standby: Standby) -> None:
    run = supervise(run_that("ready", "points:1-5", "garbage", "points:6-9", "done:ok"), standby)
    assert run.state == State.SUCCEEDED
    assert steps(run) == list(range(1, 10))
    assert run.events.filter(kind="notice", text__contains="left out").count() == 1


def test_training_goes_on_without_the_database_and_nothing_is_told_twice(
    standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_that("ready", "points:1-5", "notice:once", "points:6-9", "checkpoint:9", "points:10-12", "done:ok")
    failures = iter(range(12))

    def unreliable(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(failures, None) is not None:
                raise OperationalError("the database is away")
            return real(*args, **kwargs)

        return call

    for name in ("studio.tracking.intake.ingest", "studio.runs.lease.beat", "studio.runs.lease.settle"):
        module, _, function = name.rpartition(".")
        monkeypatch.setattr(name, unreliable(getattr(sys.modules[module], function)))
    run = supervise(run, standby)
    assert run.state == State.SUCCEEDED
    assert steps(run) == list(range(1, 13))
    assert run.events.filter(kind="notice", text="once").count() == 1
    assert run.checkpoints.count() == 1


def test_the_trainer_sees_nothing_of_the_studio(standby: Standby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_SECRET_KEY", "canary-secret")
    monkeypatch.setenv("DATABASE_PASSWORD", "canary-secret")
    assert "canary-secret" not in str(trainer.child_environment())
    child = trainer.Trainer()
    try:
        assert b"canary-secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    finally:
        child.kill()
        child.close()


def test_a_trainer_ends_when_its_worker_lets_go() -> None:
    child = trainer.Trainer()
    child.close()
    assert child.process.wait(10) is not None
