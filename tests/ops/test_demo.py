"""`demo` trains three models for real, once, whether the studio runs or not."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from tests.ops.stack import Studio, manage

pytestmark = pytest.mark.stack


def test_demo_fills_a_project_once_and_doctor_finds_it_well(tmp_path: Path) -> None:
    alone = manage("demo", "--data-dir", tmp_path, limit_s=280)
    assert alone.returncode == 0, alone.stdout
    assert len(re.findall(r": succeeded in \d+ s, val_\w+ [\d.]+$", alone.stdout, re.M)) == 3
    accuracy = re.search(r"Digits.*val_accuracy ([\d.]+)", alone.stdout)
    assert accuracy
    assert float(accuracy[1]) >= 0.95
    studio = Studio(tmp_path, "--port", "0").wait_ready()
    try:
        again = manage("demo", "--data-dir", tmp_path)
        assert (again.returncode, studio.url in again.stdout) == (0, True), again.stdout
        healthy = manage("doctor", "--data-dir", tmp_path)
        assert (healthy.returncode, "BAD" in healthy.stdout) == (0, False), healthy.stdout
    finally:
        assert studio.stop() == 0
    with sqlite3.connect(tmp_path / "studio.sqlite3") as database:
        assert database.execute("SELECT count(*), sum(state = 'succeeded') FROM runs_run").fetchone() == (3, 3)
