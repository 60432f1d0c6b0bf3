"""The warm process of the harness and its trainers leave nothing behind when who started them is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.chaos.pool import ROOT
from tests.ops.stack import eventually

# Starts the warm process with the pipes that it was given itself, says its number, and waits for its own end.
STARTER = """
import os, subprocess, sys
print(subprocess.Popen([sys.executable, "-m", "tests.chaos.zygote", str(os.getpid())]).pid, flush=True)
os.read(int(sys.argv[1]), 1)
"""
# A warm process for the tests' own use, whose parent is interrupted while it waits for it to be ready.
WAITER = "from tests.chaos.pool import Pool; Pool()"


@pytest.mark.parametrize("after_s", [0.0, 0.5], ids=["before its first line", "while it imports torch"])
def test_the_warm_process_ends_with_its_parent_even_before_it_is_ready(after_s: float) -> None:
    """Its stdin stays open here, so it is not the pipe's end that it notices."""
    alive, end = os.pipe()
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(alive)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[alive], cwd=ROOT, text=True,
    )  # fmt: skip
    assert starter.stdout is not None
    warm = psutil.Process(int(starter.stdout.readline()))
    try:
        time.sleep(after_s)
        starter.kill()
        starter.wait()
        eventually(lambda: _is_gone(warm), "the warm process is gone", 20.0)
    finally:
        if not _is_gone(warm):
            warm.kill()
        os.close(alive)
        os.close(end)


def test_an_interrupt_while_the_warm_process_gets_ready_ends_it() -> None:
    waiter = subprocess.Popen(
        [sys.executable, "-c", WAITER],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    (warm,) = eventually(lambda: psutil.Process(waiter.pid).children(), "the warm process is there", 10.0)
    waiter.send_signal(signal.SIGINT)
    waiter.communicate(timeout=10.0)
    eventually(lambda: _is_gone(warm), "the warm process is gone, without having imported torch first", 2.0)


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
