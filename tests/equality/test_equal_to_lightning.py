"""The same seeded training under Lightning and under this engine ends in the same bits."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.equality.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lightning") is None, reason="the lightning package is not installed (extra: test)"
)


def run(package: str, out: Path) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.equality.scenarios", package, str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("equality")
    return run("lightning.pytorch", folder / "theirs.json"), run("trainer_core", folder / "ours.json")


@pytest.mark.parametrize("name", SCENARIOS)
def test_bits_are_equal(results: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    theirs, ours = results[0][name], results[1][name]
    assert "error" not in theirs, theirs
    assert ours == theirs
