"""A whole studio loses its processes one after the other; its runs are as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import postgres
from tests.chaos import faults, full
from tests.chaos.stack import Stack
from tests.chaos.whole import broken, reference_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def test_killed_processes_leave_no_mark_on_a_run(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        quiet = stack.start()
        stack.wait_state(quiet, "succeeded")
        reference = reference_of(quiet.refresh())
        assert len(reference.steps) == 460
        run = stack.start()
        fence = stack.wait_training(run, saved=True)
        for part in ("web", "queue", "scheduler", "trainer"):
            stack.kill(part, run)
        fence = stack.wait_training(run, after=fence, saved=True)
        assert fence == 2
        stack.kill("machine", run)  # its lease must run out
        hostile = [stack.start(act, epochs=3) for act in ("exit0", "oom_cuda", "strays")]
        told = {r.name: (stack.wait_state(r, "failed", "succeeded"), r.refresh().outcome) for r in hostile}
        assert told == {
            "exit0": ("failed", "died"), "oom_cuda": ("failed", "oom_cuda"), "strays": ("succeeded", "ok"),
        }  # fmt: skip
        stack.wait_state(run, "succeeded", "failed")
        assert broken(stack, run, reference) == []
        assert stack.state(run)[1] == 3
        assert [r.id for r in hostile if stack.trainers(r)] == []
        assert stack.new_locks() == 0


def test_every_fault_of_the_command_is_there() -> None:
    assert all(callable(getattr(faults, name)) for name in full.FAULTS)


if postgres.IS_THERE:

    def test_a_run_trains_on_while_its_database_server_is_away(tmp_path: Path) -> None:
        assert full.postgres_away(tmp_path, 6.0) == 0
