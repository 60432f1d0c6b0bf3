"""The supervisor restarts what ends, waits longer each time, and stops in order."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.ops.children import RESTS_S, Child, Kind, in_words
from studio.ops.supervisor import Supervisor

PATIENT = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); print('on', flush=True); signal.pause()"
)
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(said.append) as supervisor:
        yield supervisor


def child(tmp_path: Path, code: str, name: str = "It", kind: Kind = "worker", grace_s: float = 10.0) -> Child:
    return Child(name, kind, lambda: [sys.executable, "-c", code], tmp_path / f"{name}.log", grace_s)


def said_on(child: Child) -> bool:
    return child.log.exists() and b"on" in child.log.read_bytes()


def test_a_child_that_ends_is_started_again(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    it = child(tmp_path, PATIENT)
    supervisor.add(it)
    first = it.pid
    assert supervisor.run(lambda: said_on(it), poll_s=0.02)
    os.kill(first, signal.SIGKILL)
    assert supervisor.run(lambda: it.pid not in (None, first), poll_s=0.02)
    assert said == ["It ended (killed by SIGKILL); started again."]


def test_rests_grow_and_the_terminal_is_told_less(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    it = child(tmp_path, "print('no such thing'); raise SystemExit(3)")
    supervisor.add(it)
    assert supervisor.run(lambda: it.failures == 4, poll_s=0.05)
    assert said[0] == "It ended (exit code 3); started again."
    assert said[1] == "It ended again (exit code 3): no such thing"
    assert said[3].startswith("It keeps ending; next try in 2 s") and str(it.log) in said[3]
    assert list(RESTS_S) == sorted(RESTS_S)


def test_children_stop_in_order(supervisor: Supervisor, tmp_path: Path) -> None:
    note = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], 'a').write(sys.argv[2]), sys.exit())); print('on', flush=True); signal.pause()"
    order = tmp_path / "order"
    kinds: list[Kind] = ["redis", "scheduler", "web", "worker"]
    for kind in kinds:
        it = child(tmp_path, note, name=kind, kind=kind)
        it.command = lambda kind=kind: [sys.executable, "-c", note, str(order), f"{kind} "]
        supervisor.add(it)
    children = list(supervisor.children)
    assert supervisor.run(lambda: all(said_on(it) for it in children), poll_s=0.02)
    supervisor.stop()
    assert order.read_text() == "web worker scheduler redis "


def test_a_deaf_child_is_killed_after_its_grace(supervisor: Supervisor, tmp_path: Path) -> None:
    it = child(tmp_path, DEAF, grace_s=0.2)
    supervisor.add(it)
    assert supervisor.run(lambda: said_on(it), poll_s=0.02)
    supervisor.stop()
    assert it.pid is None


def test_a_worker_that_ends_while_the_web_server_stops_is_noticed(supervisor: Supervisor, tmp_path: Path) -> None:
    worker = child(tmp_path, PATIENT, name="worker", grace_s=100.0)
    supervisor.add(worker)
    kills = f"import os, signal, sys, time; signal.signal(15, lambda *_: (os.kill({worker.pid}, 9), time.sleep(0.2), sys.exit()))"
    web = child(tmp_path, kills + "; print('on', flush=True); signal.pause()", name="web", kind="web")
    supervisor.add(web)
    assert supervisor.run(lambda: said_on(worker) and said_on(web), poll_s=0.02)
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 10.0


def test_a_second_signal_stops_at_once(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    it = child(tmp_path, DEAF, grace_s=1000.0)
    supervisor.add(it)
    assert supervisor.run(lambda: said_on(it), poll_s=0.02)
    os.kill(os.getpid(), signal.SIGTERM)
    assert not supervisor.run()
    os.kill(os.getpid(), signal.SIGINT)
    began = time.monotonic()
    supervisor.stop()
    assert it.pid is None
    assert time.monotonic() - began < 10.0


def test_ends_are_told_in_words() -> None:
    assert in_words(0) == "exit code 0"
    assert in_words(-9) == "killed by SIGKILL"
