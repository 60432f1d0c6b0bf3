"""Callbacks and tuners find and leave the same under Lightning and under this engine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.trainer_core.callbacks.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="the lightning package is not installed (extra: test)"
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("callbacks")
    found = []
    for package in ("lightning.pytorch", "trainer_core"):
        out = folder / f"{package}.json"
        done = subprocess.run(
            [sys.executable, "-m", "tests.trainer_core.callbacks.scenarios", package, str(out)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(out.read_text()))
    return found[0], found[1]


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_leave_the_same(results: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    theirs, ours = results[0][name], results[1][name]
    assert not isinstance(theirs, dict) or "error" not in theirs, theirs
    assert ours == theirs
