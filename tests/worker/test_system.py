"""What a run takes of its machine: measured on real processes, stored fenced, and no peak lost when there is much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from studio.worker.system import RATES, Sampler, due_after

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print("on", flush=True)
sys.stdin.read()
child.kill()
"""
BUSY = "while True: pass"
IDLE = "import time; kept = bytearray(200 << 20); time.sleep(600)"
WRITER = """
import os
with open("written", "wb") as file:
    while True:
        file.write(bytes(4 << 20)); file.flush(); os.fsync(file.fileno()); file.seek(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def sampler(request: pytest.FixtureRequest, folder: Path) -> Iterator[Sampler]:
    """Of a process that has started a child with the code of the parameter."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    time.sleep(0.5)
    yield Sampler(process.pid)
    process.stdin.close()
    process.wait(10)


@pytest.mark.parametrize("sampler", [BUSY], indirect=True)
def test_a_busy_child_counts_for_the_run(sampler: Sampler) -> None:
    time.sleep(1.0)
    values = sampler.sample()
    assert 20 < values["cpu.run"] < 150
    assert values["cpu.machine"] > 0


@pytest.mark.parametrize("sampler", [IDLE], indirect=True)
def test_memory_of_children_counts_and_idle_processes_take_no_processor(sampler: Sampler) -> None:
    time.sleep(0.5)
    values = sampler.sample()
    assert values["cpu.run"] < 20
    assert 200 < values["memory.run"] < 300
    assert values["memory.run"] < values["memory.machine"]


@pytest.mark.parametrize("sampler", [WRITER], indirect=True)
def test_what_is_written_to_a_disk_is_told_as_a_rate(sampler: Sampler) -> None:
    time.sleep(0.7)
    assert sampler.sample()["disk.written"] > 1


def test_a_process_that_has_ended_has_no_figures() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampler = Sampler(process.pid)
    process.communicate()
    assert sampler.sample() == {}


def test_a_long_run_is_asked_less_often() -> None:
    ages, n = 0.0, 0
    while ages < 86_400:
        ages, n = ages + due_after(ages), n + 1
    assert 1500 < n < 3500
    assert due_after(0) == RATES[0][1] == 2.0


def test_numbers_are_plain() -> None:
    values = Sampler(os.getpid()).sample()
    assert json.loads(json.dumps(values)) == values
    assert all(np.isfinite(v) and v >= 0 for v in values.values())


def test_a_process_that_has_ended_and_waits_for_its_parent_took_no_memory_that_is_told() -> None:
    """Else the last sample of a run, and the whole of a short one, says 0 MiB."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampler = Sampler(process.pid)
    assert sampler.sample()["memory.run"] > 0
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert sampler.sample() == {}
    process.wait(10)
