"""The reader of a spool wakes when the trainer has written, and sleeps when it has not."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from studio.worker.spool import SpoolReader
from tests.factories import make_attempt, make_run
from trainer_core.events import SpoolWriter

pytestmark = pytest.mark.django_db
LONG_S = 60.0


@pytest.fixture
def reader(tmp_path: Path) -> SpoolReader:
    run = make_run(state="running", fence=1)
    return SpoolReader(make_attempt(run, fence=1), tmp_path, lambda event: None)


def waited(reader: SpoolReader, most_s: float) -> float:
    began = time.monotonic()
    reader.wait(most_s)
    return time.monotonic() - began


def test_it_wakes_as_soon_as_something_is_written(reader: SpoolReader, tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    timer = threading.Timer(0.05, writer.event, args=("notice",), kwargs={"text": "hello"})
    timer.start()
    assert waited(reader, LONG_S) < LONG_S / 2
    timer.join()
    writer.event("notice", text="written before it waits")
    assert waited(reader, LONG_S) < LONG_S / 2


def test_half_a_frame_does_not_keep_it_awake(reader: SpoolReader, tmp_path: Path) -> None:
    SpoolWriter(tmp_path / "spool").close()
    with open(tmp_path / "spool" / "seg-000001.log", "ab") as file:
        file.write(b"\x40\0\0")
    reader.wait(LONG_S)
    assert not reader.read()
    assert waited(reader, 0.1) >= 0.1
