"""A run on two devices: one process each; the first one tells, and none survives another's end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.trainer_core.launch.attempts import Attempt
from trainer_core.checkpoint import io

pytestmark = pytest.mark.stack
STEPS = 12
"""Three epochs of 8 batches of 20 rows, dealt out to two."""


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Attempt]]:
    root = tmp_path_factory.mktemp("ranks")
    made = {
        "whole": Attempt(root / "whole", devices=2),
        "killed": Attempt(root / "killed", devices=2, asked={"signal-9": 7}),
        "failed": Attempt(root / "failed", devices=2, asked={"rank-1-fails": 3}),
        "died": Attempt(root / "died", devices=2, asked={"rank-1-dies": 3}),
    }
    yield made
    for attempt in made.values():
        attempt.process.kill()
        attempt.process.wait()


def last(attempt: Attempt) -> dict[str, object]:
    return io.read_file(attempt.run / "checkpoints" / attempt.checkpoints()[0] / io.FILE)


def test_two_processes_make_one_run(attempts: dict[str, Attempt]) -> None:
    whole = attempts["whole"]
    assert whole.exit_code() == 0, whole.output
    assert whole.done()["step"] == STEPS
    assert sorted(whole.points("loss")) == list(range(1, STEPS + 1))
    assert [c["step"] for c in whole.events("checkpoint")] == [4, 8, STEPS]
    assert len(whole.events("ready")) == 1


def test_what_was_killed_resumes_to_the_same_bits(attempts: dict[str, Attempt]) -> None:
    first, whole = attempts["killed"], attempts["whole"]
    assert first.exit_code() == -9, first.output
    second = Attempt(first.run, 2, resume=first.checkpoints(), devices=2)
    assert second.exit_code() == 0, second.output
    assert second.events("ready")[0]["resume_step"] == 4
    whole.exit_code()
    for key in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(last(second)[key], last(whole)[key], rtol=0, atol=0)


def test_an_error_of_the_second_process_ends_the_run_with_its_words(attempts: dict[str, Attempt]) -> None:
    failed = attempts["failed"]
    assert failed.exit_code() == 1
    assert failed.done()["outcome"] == "user_error"
    assert failed.done()["reason"] == "ValueError: cannot train on 2 tensors (process 1 of several)"
    assert failed.done()["traceback"].startswith("Process 1 failed:")
    assert "in broken" in failed.done()["traceback"]
    assert not alive(failed.folder)


def test_the_death_of_the_second_process_is_told_as_such(attempts: dict[str, Attempt]) -> None:
    died = attempts["died"]
    assert died.exit_code() == 1
    assert (died.done()["outcome"], died.done()["reason"]) == ("died", "Process 1 was ended by SIGKILL.")
    assert not alive(died.folder)


def alive(folder: Path) -> list[str]:
    return subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
