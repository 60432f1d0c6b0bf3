"""Random setups, always the same ones: both engines end alike, and an interrupted run ends like the unbroken one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="the lightning package is not installed (extra: test)"
)


@pytest.mark.parametrize(
    "options",
    [
        ["--first", "3077", "--cases", "24"],
        ["--first", "3190", "--cases", "1"],
        ["--first", "18", "--cases", "6", "--resumed"],
    ],
)
def test_setups_end_alike(options: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.equality", "--whole", *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"{options[3]} setups, 0 differ" in done.stdout
