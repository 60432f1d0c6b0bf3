"""Compaction beside a writer, beside itself, and killed at any statement: each point is there once, at any moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from studio.runs.models import Run, State
from studio.tracking import compact
from studio.tracking.ingest import ingest
from studio.tracking.models import MetricAxis, MetricFrame
from studio.tracking.query import series
from studio.tracking.stored import visible_blocks
from tests.factories import make_attempt, make_run
from tests.tracking.test_compact import write
from tests.tracking.test_compact_when import ticks
from trainer_core.events import Position

pytestmark = pytest.mark.django_db(transaction=True)
FRAMES = 400


@pytest.fixture(autouse=True)
def _few_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)
    monkeypatch.setattr(compact, "MOST_BYTES", 300)
    monkeypatch.setattr(compact, "CHUNK_ROWS", 4)


@pytest.fixture
def run() -> Run:
    run = make_run(state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    return run


def in_child(work: Callable[[], None]) -> int:
    """The pid of a process that does the work with connections of its own."""
    connections.close_all()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def killed_at(statement: int, *, after: bool) -> Callable[..., Any]:
    """For `execute_wrapper`: this process is killed before or after that statement."""
    count = 0

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        count += 1
        if count == statement and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = execute(sql, params, many, context)
        if count == statement and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return wrapper


def points(run: Run) -> list[float]:
    return [v for block in visible_blocks(run.pk) for v in block.values[0]]


def drawn(run: Run) -> list[float]:
    found = series([run.pk], width=4000)["runs"][0]["series"]
    return found[0]["last"] if found else []


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_statement_loses_nothing_and_doubles_nothing(run: Run, after: bool) -> None:
    expected = [float(s) for s in range(1, 13)]
    in_part, statement, killed = 0, 0, True
    while killed:
        statement += 1
        write(run, [(1, block) for block in ticks(1, 12)], None)

        def work(statement: int = statement) -> None:
            with connection.execute_wrapper(killed_at(statement, after=after)):
                compact.compact_run(run.pk)

        _, status = os.waitpid(in_child(work), 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0
        assert points(run) == drawn(run) == expected
        in_part += MetricFrame.objects.filter(run=run).exists() and MetricAxis.objects.filter(run=run).exists()
        compact.compact_run(run.pk)
        assert points(run) == drawn(run) == expected
        assert not MetricFrame.objects.filter(run=run).exists()
    assert statement > 10 and in_part > 3


def test_a_reader_sees_each_point_once_beside_a_writer_and_two_compactors_that_are_killed(run: Run) -> None:
    def writing() -> None:
        for i in range(1, FRAMES + 1):
            if i == FRAMES - 50:  # the last ones come while some are compacted already, however slow the compactors are
                end = time.monotonic() + 60.0
                while MetricAxis.objects.filter(run=run).count() <= 5 and time.monotonic() < end:
                    time.sleep(0.01)
                time.sleep(1.0)
            ingest(run.pk, 1, ticks(i, i), Position(1, i))

    def compacting() -> None:
        while True:
            compact.compact_run(run.pk, keep=5)
            time.sleep(0.002)

    writer = in_child(writing)
    compactors = [in_child(compacting) for _ in range(2)]
    seen, looks, beside = 0, 0, 0
    try:
        while seen < FRAMES:
            for look in (points, drawn):
                before = Run.objects.values_list("last_seq", flat=True).get(pk=run.pk)
                found = look(run)
                assert found == [float(s) for s in range(1, len(found) + 1)]
                assert len(found) >= max(before, seen)
                seen = len(found)
            looks += 1
            beside += MetricAxis.objects.filter(run=run).count() > 5 and seen < FRAMES
            if looks % 5 == 0:
                pid = compactors.pop(0)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                compactors.append(in_child(compacting))
        assert os.waitpid(writer, 0)[1] == 0
        writer = 0
    finally:
        for pid in [*compactors, *([writer] if writer else [])]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert beside > 0
    compact.compact_run(run.pk)
    assert points(run) == [float(s) for s in range(1, FRAMES + 1)]
