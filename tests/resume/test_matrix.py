"""A small piece of `python -m tests.resume`: the same cases each time."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from tests.resume.matrix import results, settings

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("number", range(3))
def test_a_resumed_run_is_the_unbroken_one_and_reads_no_row_again(number: int, tmp_path: Path) -> None:
    setting = next(islice(settings(3), number * 5, None))
    for result in results(setting, tmp_path):
        assert result.is_exact, result


def test_a_resumed_run_of_two_processes_is_the_unbroken_one() -> None:
    """With two optimizers, since in manual optimisation the running statistics of each process stay its own.

    In a process of its own: one that has trained cannot be forked.
    """
    command = [sys.executable, "-m", "tests.resume", "--cases", "3", "--processes", "2", "--seed", "14"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_a_difference_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", lambda self, state: None)
    assert not all(result.is_exact for result in results(next(settings(3)), tmp_path))
