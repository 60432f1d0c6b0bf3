"""The spool's logger: what comes rarely is written at once, what comes often together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer_core.events import METRICS, MetricBlock, SpoolWriter, read_spool
from trainer_core.loggers import spool
from trainer_core.loggers.spool import SpoolLogger

LONG_S = 60.0


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpoolLogger]:
    monkeypatch.setattr(spool, "FLUSH_S", 0.3)
    logger = SpoolLogger(SpoolWriter(tmp_path))
    yield logger
    logger.close()


def blocks(folder: Path) -> list[MetricBlock]:
    return [frame.metrics() for frame in read_spool(folder) if frame.type == METRICS]


def wait_for(folder: Path, count: int) -> float:
    """Seconds until so many blocks are written."""
    began = time.monotonic()
    while len(blocks(folder)) < count:
        assert time.monotonic() - began < LONG_S
        time.sleep(0.002)
    return time.monotonic() - began


def test_a_point_after_a_rest_is_not_kept_back(logger: SpoolLogger, tmp_path: Path) -> None:
    logger.log_metrics({"loss": 1.0}, 0)
    wait_for(tmp_path, 1)
    quickest = LONG_S
    for step in range(1, 4):  # the best of some, since the machine may be busy
        time.sleep(spool.FLUSH_S)
        logger.log_metrics({"loss": 1.0}, step)
        quickest = min(quickest, wait_for(tmp_path, step + 1))
    assert quickest < spool.FLUSH_S / 2


def test_points_that_come_fast_are_written_together(logger: SpoolLogger, tmp_path: Path) -> None:
    logger.log_metrics({"loss": 1.0}, 0)
    wait_for(tmp_path, 1)
    for step in range(1, 40):
        logger.log_metrics({"loss": 1.0}, step)
        time.sleep(0.002)
    logger.barrier()
    assert sum(map(len, blocks(tmp_path))) == 40
    assert len(blocks(tmp_path)) <= 10
