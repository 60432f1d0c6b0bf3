"""The second go of tests that start real processes, with a real pytest in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.again import MOST

TOP = Path(__file__).parents[2]
TWICE = """
import pathlib, pytest
@pytest.mark.stack
@pytest.mark.parametrize("n", range({count}))
def test_it(n):
    seen = pathlib.Path(f"seen-{{n}}")
    try:
        assert seen.exists() {more}
    finally:
        seen.touch()
"""


def twice(folder: Path, text: str) -> tuple[int, str]:
    """A run of the suite and its second go: the last exit code and what both said."""
    (folder / "test_real.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  stack: real\n  e2e: real\n")
    given = {
        **os.environ,
        "PYTHONPATH": str(TOP),
        "PYTEST_PLUGINS": "xdist.plugin",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    first = [sys.executable, "-m", "pytest", "-q", "-o", "cache_dir=cache"]
    second = [sys.executable, "-m", "tests.again", "cache"]
    said = ""
    for command in (first, second):
        found = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=120)
        said += found.stdout + found.stderr
    return found.returncode, said


@pytest.mark.parametrize(
    ("text", "is_green", "words"),
    [
        (TWICE.format(count=2, more=""), True, "UNSTABLE"),
        (TWICE.format(count=2, more="and n"), False, "1 failed, 1 passed"),
        (TWICE.format(count=MOST + 1, more=""), False, f"{MOST + 1} failed"),
        (TWICE.format(count=1, more="").replace("@pytest.mark.stack", ""), False, "No second go"),
        ("import nothing_of_that_name", False, "1 error"),
    ],
    ids=["passes-alone", "fails-again", "too-many", "starts-no-process", "no-import"],
)
def test_only_tests_of_real_processes_get_a_second_go(tmp_path: Path, text: str, is_green: bool, words: str) -> None:
    code, said = twice(tmp_path, text)
    assert (code == 0) is is_green, said
    assert words in said
    assert ("UNSTABLE" in said) is is_green
