"""Leases, fences and what becomes of a run when an attempt ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from studio.runs import lease, reap
from studio.runs.cancel import request_cancel, request_pause, request_resume
from studio.runs.checkpoints import commit_checkpoint, folder_of, resume_list, retire
from studio.runs.errors import RunError, StaleState
from studio.runs.models import Run, State
from studio.runs.states import TRANSITIONS, transition
from tests.factories import make_checkpoint, make_run, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


def held_run(**fields: Any) -> Run:
    run = make_run()
    Run.objects.filter(pk=run.pk).update(**fields)
    assert lease.acquire_next(make_worker()) is not None
    run.refresh_from_db()
    return run


def expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=3))


def event(step: int, **more: Any) -> dict[str, Any]:
    name = f"step-{step:08d}-f1"
    return {"step": step, "epoch": 1, "name": name, "manifest_sha256": "a" * 64, "size_bytes": 10, **more}


@pytest.mark.parametrize("start", State)
@pytest.mark.parametrize("to", State)
def test_only_the_rules_of_the_protocol_lead_anywhere(start: State, to: State) -> None:
    run = make_run(state=start)
    if to in TRANSITIONS[start]:
        assert transition(run, to, by="test").state == to
        assert run.events.get().to_state == to
    else:
        with pytest.raises(StaleState):
            transition(run, to, by="test")
        assert run.events.count() == 0


def test_a_stale_copy_of_a_run_changes_nothing() -> None:
    run = make_run()
    stale = Run.objects.get(pk=run.pk)
    transition(run, State.CANCELLED, by="a")
    with pytest.raises(StaleState):
        transition(stale, State.CANCELLED, by="b")
    assert run.events.count() == 1


def test_the_first_to_acquire_holds_the_run() -> None:
    run = held_run()
    assert (run.state, run.fence) == (State.STARTING, 1)
    assert lease.acquire(run.pk, make_worker()) is None
    assert run.attempts.count() == 1


def test_priority_goes_first_then_the_longest_waiting() -> None:
    first, second, urgent = make_run(), make_run(), make_run(priority=5)
    worker = make_worker()
    taken = [lease.acquire_next(worker) for _ in range(4)]
    assert [a.run_id if a else None for a in taken] == [urgent.pk, first.pk, second.pk, None]


def test_a_superseded_attempt_writes_nothing() -> None:
    run = held_run()
    lease.settle(run.pk, 1, outcome="preempted", reason="Shut down.")
    assert lease.acquire_next(make_worker()) is not None
    assert lease.beat(run.pk, 1) is None
    assert lease.report_progress(run.pk, 1, {"step": 3}) is False
    for write in (
        lambda: lease.settle(run.pk, 1, outcome="ok", reason=""),
        lambda: lease.ready(run.pk, 1, 0),
        lambda: commit_checkpoint(run.pk, 1, event(5)),
    ):
        with pytest.raises(StaleState):
            write()
    assert lease.beat(run.pk, 2) == lease.Held(State.STARTING)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("ok", State.SUCCEEDED),
        ("user_error", State.FAILED),
        ("died", State.FAILED),
        ("oom_cuda", State.FAILED),
        ("nan_stop", State.FAILED),
        ("lost", State.QUEUED),
        ("infra", State.QUEUED),
        ("hung", State.QUEUED),
        ("preempted", State.QUEUED),
        ("oom_host", State.QUEUED),
    ],
)
def test_each_outcome_has_its_consequence(outcome: str, state: State) -> None:
    run = held_run()
    lease.ready(run.pk, 1, 0)
    assert lease.settle(run.pk, 1, outcome=outcome, reason="Because.").state == state


def test_cancelling_ends_in_cancelled_whatever_the_outcome() -> None:
    for outcome in ("ok", "user_error", "lost", "cancelled"):
        run = held_run()
        request_cancel(run=run, user=None)
        assert lease.settle(run.pk, run.fence, outcome=outcome, reason="x").state == State.CANCELLED


def test_cancel_is_idempotent_and_refuses_what_has_ended() -> None:
    run = make_run()
    assert request_cancel(run=run, user=None).state == State.CANCELLED
    assert request_cancel(run=run, user=None).state == State.CANCELLED
    with pytest.raises(RunError, match="has ended already"):
        request_cancel(run=make_run(state=State.SUCCEEDED), user=None)


def test_pause_and_resume_come_back_to_the_queue() -> None:
    run = held_run()
    lease.ready(run.pk, 1, 0)
    request_pause(run=run, user=None)
    assert lease.settle(run.pk, 1, outcome="cancelled", reason="").state == State.PAUSED
    assert request_resume(run=run, user=None).state == State.QUEUED


def test_the_restart_budget_ends() -> None:
    run = make_run()
    for fence in range(1, 7):
        Run.objects.filter(pk=run.pk).update(not_before=Now())
        assert lease.acquire_next(make_worker()) is not None
        lease.ready(run.pk, fence, 0)
        make_checkpoint(run, step=fence * 10, fence=fence)
        run = lease.settle(run.pk, fence, outcome="lost", reason="Gone.")
    assert run.state == State.FAILED
    assert "All 5 automatic restarts are used" in run.reason


def test_a_crash_loop_stops_after_three_attempts() -> None:
    run = make_run()
    for fence in range(1, 4):
        Run.objects.filter(pk=run.pk).update(not_before=Now())
        assert lease.acquire_next(make_worker()) is not None
        run = lease.settle(run.pk, fence, outcome="infra", reason="Killed.")
    assert run.state == State.FAILED
    assert "without a newer checkpoint" in run.reason


def test_ready_abandons_what_lies_beyond_the_resumed_step() -> None:
    run = held_run()
    lease.ready(run.pk, 1, 0)
    for step in (10, 20):
        commit_checkpoint(run.pk, 1, event(step))
    lease.settle(run.pk, 1, outcome="lost", reason="")
    Run.objects.filter(pk=run.pk).update(not_before=Now())
    assert lease.acquire_next(make_worker()) is not None
    assert list(resume_list(run.pk)) == ["step-00000020-f1", "step-00000010-f1"]
    lease.ready(run.pk, 2, 10)
    assert list(resume_list(run.pk)) == ["step-00000010-f1"]
    assert run.attempts.get(fence=1).valid_to_step == 10


def test_the_reaper_ends_lost_leases_and_overdue_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reap, "looks", reap.Looks())
    fresh, lost, stuck = held_run(), held_run(), held_run()
    expire(lost)
    request_cancel(run=stuck, user=None)
    Run.objects.filter(pk=stuck.pk).update(cancel_deadline=Now() - timedelta(seconds=1))
    assert reap.reap_lost() == 2
    states = dict(Run.objects.values_list("pk", "state"))
    assert states == {fresh.pk: State.STARTING, lost.pk: State.QUEUED, stuck.pk: State.CANCELLED}


def test_the_reaper_waits_for_heartbeats_after_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(reap, "looks", reap.Looks())
    monkeypatch.setattr(reap, "seconds", lambda: clock[0])
    assert reap.reap_lost() == 0
    expire(held_run())
    clock[0] += 300  # the database was away
    assert reap.reap_lost() == 0
    for _ in range(4):
        clock[0] += 5.1
        done = reap.reap_lost()
    assert done == 1


def test_the_reaper_waits_for_heartbeats_after_a_lock_that_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(reap, "looks", reap.Looks())
    monkeypatch.setattr(reap, "seconds", lambda: clock[0])
    assert reap.reap_lost() == 0
    run = held_run()
    expire(run)
    clock[0] += 13  # the next look had to wait for the write lock, and so had the holder
    assert reap.reap_lost() == 0
    assert lease.beat(run.pk, 1) is not None
    clock[0] += 30
    assert reap.reap_lost() == 0


def test_a_heartbeat_at_the_last_moment_wins_over_the_reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    run = held_run()
    expire(run)
    monkeypatch.setattr(reap, "looks", reap.Looks())
    monkeypatch.setattr(reap.looks, "are_unbroken", lambda: lease.beat(run.pk, 1) is not None)
    assert reap.reap_lost() == 0
    run.refresh_from_db()
    assert run.state == State.STARTING


@pytest.mark.parametrize("outcome", ["cancelled", "infra", "lost", "hung", "oom_host", "preempted"])
def test_a_pause_that_was_asked_for_is_kept(outcome: str) -> None:
    run = held_run()
    lease.ready(run.pk, 1, 0)
    request_pause(run=run, user=None)
    run = lease.settle(run.pk, 1, outcome=outcome, reason="Stopped at step 5.")
    assert (run.state, run.restarts) == (State.PAUSED, 0)
    assert run.reason == "Paused. Stopped at step 5. Resume goes on from the newest checkpoint."
    assert run.attempts.get().outcome == ("paused" if outcome == "cancelled" else outcome)


def test_a_pausing_run_fails_for_a_fault_of_its_code() -> None:
    run = held_run()
    lease.ready(run.pk, 1, 0)
    request_pause(run=run, user=None)
    assert lease.settle(run.pk, 1, outcome="user_error", reason="x").state == State.FAILED


def test_want_of_memory_is_tried_again_once_and_once_more_after_a_resume() -> None:
    run = make_run()

    def attempt(fence: int, outcome: str) -> Run:
        Run.objects.filter(pk=run.pk).update(not_before=Now())
        assert lease.acquire_next(make_worker()) is not None
        return lease.settle(run.pk, fence, outcome=outcome, reason="No memory.")

    assert attempt(1, "lost").state == State.QUEUED
    assert attempt(2, "oom_host").state == State.QUEUED
    failed = attempt(3, "oom_host")
    assert failed.state == State.FAILED
    assert "tried again once already" in failed.reason
    request_resume(run=failed, user=None)
    assert attempt(4, "oom_host").state == State.QUEUED


def test_retention_spares_the_best_the_pinned_and_the_last() -> None:
    run = held_run()
    for step in range(10, 90, 10):
        commit_checkpoint(run.pk, 1, event(step, best=step == 20))
        folder = folder_of(run.pk) / f"step-{step:08d}-f1"
        folder.mkdir(parents=True)
        (folder / "checkpoint.ckpt").write_bytes(b"weights")
    run.checkpoints.filter(step=30).update(pinned=True)
    assert retire(run.pk) == 3
    kept = list(run.checkpoints.filter(deleted_at__isnull=True).values_list("step", flat=True))
    assert kept == [80, 70, 60, 30, 20]
    assert sorted(int(p.name[5:13]) for p in folder_of(run.pk).iterdir()) == sorted(kept)


def test_a_shut_down_worker_gives_the_run_back_to_its_place_in_the_queue() -> None:
    first = held_run()
    second = make_run()
    lease.settle(first.pk, 1, outcome="preempted", reason="Shut down.")
    attempt = lease.acquire_next(make_worker())
    assert attempt is not None
    assert attempt.run_id == first.pk
    assert second.state == State.QUEUED


def test_a_resumed_run_goes_to_the_end_of_the_queue() -> None:
    failed = make_run(state=State.FAILED)
    waiting = make_run()
    request_resume(run=failed, user=None)
    order = [a.run_id for a in (lease.acquire_next(make_worker()) for _ in range(2)) if a]
    assert order == [waiting.pk, failed.pk]


def test_shut_downs_and_what_was_before_a_resume_are_no_crash_loop() -> None:
    run = make_run()
    for fence, outcome in enumerate(("infra", "preempted", "preempted", "infra"), 1):
        Run.objects.filter(pk=run.pk).update(not_before=Now())
        assert lease.acquire_next(make_worker()) is not None
        run = lease.settle(run.pk, fence, outcome=outcome, reason="")
    assert run.state == State.QUEUED
    Run.objects.filter(pk=run.pk).update(not_before=Now())
    assert lease.acquire_next(make_worker()) is not None
    assert lease.settle(run.pk, 5, outcome="infra", reason="").state == State.FAILED
    request_resume(run=Run.objects.get(pk=run.pk), user=None)
    assert lease.acquire_next(make_worker()) is not None
    assert lease.settle(run.pk, 6, outcome="infra", reason="").state == State.QUEUED


def test_nothing_is_written_after_the_reaper_took_the_run_back() -> None:
    run = held_run()
    expire(run)
    lease.settle(run.pk, 1, outcome="lost", reason="")
    assert lease.beat(run.pk, 1) is None
    for write in (
        lambda: lease.ready(run.pk, 1, 0),
        lambda: lease.note(run.pk, 1, "notice", "hello"),
        lambda: commit_checkpoint(run.pk, 1, event(5)),
    ):
        with pytest.raises(StaleState):
            write()
    assert run.attempts.get().ready_at is None
