"""A run whose data lies in a store: brought to the worker before its trainer starts, or an outcome in words."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import pytest

from studio.core.stores import store_of
from studio.registry import stored
from studio.registry.models import DatasetVersion
from studio.runs.cancel import request_cancel
from studio.runs.models import Run, State
from studio.worker.standby import Standby
from tests.worker.attempts import quick, run_that, standby, supervise

__all__ = ["quick", "standby"]
pytestmark = pytest.mark.django_db(transaction=True)
URL, DATA = "memory://open/table.csv", b"a,b\n1,2\n"


@pytest.fixture
def run(settings: Any, tmp_path: Path) -> Iterator[Run]:
    """One that waits, with a dataset that lies in a store; no copy of it is here."""
    path = tmp_path / "stores.toml"
    path.write_text('[memory]\naddress = "memory://open/"\n')
    settings.DATA_STORES, settings.CACHE_DIR = str(path), tmp_path / "cache"
    files = fsspec.filesystem("memory")
    files.pipe("/open/table.csv", DATA)
    made = run_that("ready", "done:ok")
    about = {"url": URL, "store": "memory", **asdict(store_of(URL).mark(URL))}
    blobs = {"path": hashlib.sha256(DATA).hexdigest()}
    DatasetVersion.objects.filter(pk=made.dataset_version_id).update(info={"stored": about}, blobs=blobs)
    yield made
    files.rm("/open", recursive=True)


def test_its_trainer_gets_the_file_of_this_machine(run: Run, standby: Standby, settings: Any) -> None:
    assert supervise(run, standby).state == State.SUCCEEDED, run.reason
    spec = json.loads((Path(settings.RUNS_DIR) / str(run.pk) / "a1" / "spec.json").read_text())
    path = stored.cache_path(hashlib.sha256(DATA).hexdigest())
    assert spec["data"]["files"] == {"path": str(path)}
    assert path.read_bytes() == DATA
    assert not run.events.filter(kind="notice").exists()


def test_data_that_changed_is_an_outcome_and_with_a_copy_a_notice(run: Run, standby: Standby) -> None:
    again = run_that("ready", "done:ok", project=run.project, dataset_version=run.dataset_version)
    path = stored.bring(DatasetVersion.objects.get(pk=run.dataset_version_id)).path
    fsspec.filesystem("memory").pipe("/open/table.csv", DATA.replace(b"2", b"33"))
    assert supervise(run, standby).state == State.SUCCEEDED, run.reason
    assert "has changed since it was registered" in run.events.get(kind="notice").text
    path.unlink()
    supervise(again, standby)
    assert (again.state, again.outcome) == (State.FAILED, "data_changed"), again.reason
    assert "Make a new version of the dataset" in again.reason


def test_a_store_that_is_away_is_tried_again(run: Run, standby: Standby, settings: Any) -> None:
    Path(settings.DATA_STORES).unlink()
    supervise(run, standby)
    assert (run.state, run.outcome) == (State.QUEUED, "infra")
    assert "cannot be read" in run.reason


def test_a_cancel_ends_the_wait_for_a_store_that_hangs(
    run: Run, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, let_go, read = threading.Event(), threading.Event(), stored.Store.read

    def hangs(store: stored.Store, url: str) -> Iterator[bytes]:
        asked.set()
        let_go.wait(60)
        yield from read(store, url)

    def hook() -> int:
        if asked.is_set():
            asked.clear()
            request_cancel(run=Run.objects.get(pk=run.pk), user=None)
        return 0

    monkeypatch.setattr(stored.Store, "read", hangs)
    supervise(run, standby, hook)
    assert (run.state, run.outcome, run.reason) == (State.CANCELLED, "cancelled", "Stopped before its data was here.")
    let_go.set()
    for thread in threading.enumerate():
        if thread.name == "data":
            thread.join(60)
    assert list(stored.cache_path("0" * 64).parent.iterdir()) == []
