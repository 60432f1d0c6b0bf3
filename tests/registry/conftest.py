"""The control queue of these tests: a list, whose jobs a test runs when it wants to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils.module_loading import import_string

from tests.access.people import People


class ControlQueue:
    def __init__(self) -> None:
        self.jobs: list[tuple[str, dict[str, Any]]] = []

    def enqueue(self, job: str, **ids: Any) -> None:
        self.jobs.append((job, ids))

    def work(self) -> int:
        """Run what is queued, here; returns how many jobs there were."""
        jobs, self.jobs = self.jobs, []
        for job, ids in jobs:
            import_string(job)(**ids)
        return len(jobs)


QUEUE = ControlQueue()


def enqueue(job: str, **ids: Any) -> None:
    QUEUE.enqueue(job, **ids)


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    settings.BLOBS_DIR, settings.UPLOADS_DIR = tmp_path / "blobs", tmp_path / "uploads"


@pytest.fixture
def control(settings: Any, monkeypatch: pytest.MonkeyPatch, people: People) -> Iterator[ControlQueue]:
    """What commits at once puts on a list; nothing runs before `work()`."""
    settings.ENQUEUE_CONTROL = "tests.registry.conftest.enqueue"
    monkeypatch.setattr("django.db.transaction.on_commit", lambda function, using=None, robust=False: function())
    QUEUE.jobs.clear()
    yield QUEUE
    QUEUE.jobs.clear()
