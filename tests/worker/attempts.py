"""Attempts with real processes, quickly: a trainer that does as it is told, and orders while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.runs import lease
from studio.runs.models import Attempt, Run, State, Worker
from studio.tracking.query import series
from studio.worker import supervisor, trainer
from studio.worker.standby import Standby
from studio.worker.supervisor import Supervisor
from tests.factories import make_run, make_worker

Hook = Callable[[], int]


@pytest.fixture(autouse=True)
def quick(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RUNS_DIR = tmp_path
    settings.CANCEL_GRACE_S = 0.4
    settings.HEARTBEAT_S = 0.05
    monkeypatch.setattr("studio.runs.queue._ring", lambda *args: None)
    monkeypatch.setattr(supervisor, "IDLE_POLL_S", 0.02)
    monkeypatch.setattr(supervisor, "POLL_S", 0.01)
    monkeypatch.setattr(supervisor, "ORDERS_EVERY_S", 0.02)
    monkeypatch.setattr(supervisor, "OUTPUT_EVERY_S", 0.02)
    monkeypatch.setattr(supervisor, "RETRY_S", 0.01)
    monkeypatch.setattr(trainer, "COMMAND", [sys.executable, str(Path(__file__).with_name("fake_trainer.py"))])
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def standby() -> Iterator[Standby]:
    ready = Standby()
    yield ready
    ready.close()


def run_that(*words: Any, **fields: Any) -> Run:
    run = make_run(**fields)
    run.spec["model"]["args"] = {"act": list(words)}
    run.save(update_fields=["spec"])
    return run


def attempt_of(run: Run, worker: Worker | None = None) -> Attempt:
    attempt = lease.acquire(run.pk, worker or make_worker())
    assert attempt is not None
    return attempt


def supervise(run: Run, standby: Standby, hook: Hook = lambda: 0) -> Run:
    """One attempt; `hook` is called at every turn of the supervisor and may give orders."""
    Supervisor(attempt_of(run), standby, stops_asked=hook).run()
    run.refresh_from_db()
    return run


def when_running(run: Run, order: Callable[[Run], Any]) -> Hook:
    """A hook that gives the order once, as soon as the run is running."""
    given: list[bool] = []

    def hook() -> int:
        now = Run.objects.get(pk=run.pk)
        if now.state == State.RUNNING and not given:
            given.append(True)
            order(now)
        return 0

    return hook


def steps(run: Run) -> list[float]:
    return series([run.pk])["runs"][0]["series"][0]["x"]
