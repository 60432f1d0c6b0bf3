"""Hostile code in the inspection's child: it ends in time, alone, without secrets, and the caller is unharmed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from studio.registry.child import KEPT_OUTPUT_BYTES, Ended, run_child


def run(folder: Path, code: str, timeout_s: float = 20.0) -> Ended:
    (folder / "given.py").write_text(code)
    return run_child("given", folder=folder, timeout_s=timeout_s)


def test_it_reports_how_the_child_ended_and_what_it_printed(tmp_path: Path) -> None:
    ended = run(tmp_path, "import sys; print('hello'); print('there', file=sys.stderr); sys.exit(3)")
    assert (ended.code, ended.timed_out) == (3, False)
    assert {"hello", "there"} <= set(ended.output.split())


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(600)", "import signal; signal.pause()"])
def test_a_child_that_does_not_end_is_ended(tmp_path: Path, code: str) -> None:
    began = time.monotonic()
    ended = run(tmp_path, code, timeout_s=1.0)
    assert ended.timed_out
    assert time.monotonic() - began < 10


def test_a_child_that_ignores_signals_is_ended(tmp_path: Path) -> None:
    code = "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(600)"
    assert run(tmp_path, code, timeout_s=1.0).timed_out


def test_what_the_child_started_ends_with_it(tmp_path: Path) -> None:
    """A fork, a fork in a session of its own, and a daemon that forked twice."""
    code = """
import os, time
def stay():
    with open(f"pid-{os.getpid()}", "w"): pass
    time.sleep(600)
if os.fork() == 0: stay()
if os.fork() == 0:
    os.setsid(); stay()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: stay()
    os._exit(0)
while len([n for n in os.listdir(".") if n.startswith("pid-")]) < 3: time.sleep(0.01)
"""
    run(tmp_path, code)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert len(pids) == 3
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_a_flood_of_output_is_cut_and_costs_no_memory(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    ended = run(tmp_path, "import sys\nfor _ in range(200): sys.stdout.write('x' * (1 << 20))\nprint('end')")
    assert ended.code == 0
    assert ended.output.endswith("end\n")
    assert "bytes left out" in ended.output
    assert len(ended.output) < 2 * KEPT_OUTPUT_BYTES + 100
    assert psutil.Process().memory_info().rss - before < 50 << 20


def test_a_child_that_wants_all_memory_gets_an_error(tmp_path: Path) -> None:
    ended = run(tmp_path, "x = bytearray(8 << 30)")
    assert ended.code != 0
    assert "MemoryError" in ended.output


def test_a_child_cannot_fill_the_disk(tmp_path: Path) -> None:
    ended = run(tmp_path, "f = open('big', 'wb')\nfor _ in range(200): f.write(b'x' * (1 << 20))")
    assert ended.code != 0
    assert (tmp_path / "big").stat().st_size <= 64 << 20


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "import os; os.abort()", "raise SystemExit"])
def test_an_abrupt_end_is_an_exit_code(tmp_path: Path, code: str) -> None:
    assert not run(tmp_path, code).timed_out


def test_a_child_sees_no_secret_and_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STUDIO_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "HOME_TOKEN"):
        monkeypatch.setenv(name, "canary-3781")
    code = "import os, sys; print(dict(os.environ)); print('input:', repr(sys.stdin.read())); print(os.getcwd())"
    ended = run(tmp_path, code)
    assert "canary" not in ended.output
    assert "input: ''" in ended.output
    assert str(tmp_path) in ended.output


def test_no_file_of_the_parent_is_open_in_the_child(tmp_path: Path) -> None:
    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        ended = run(
            tmp_path,
            "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 20) if os.path.exists(f'/proc/self/fd/{n}')])",
        )
    assert "secret" not in ended.output
