"""The spool's logger: what comes rarely is written at once, what comes often together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.trainer_core.small import Line
from trainer_core import Trainer
from trainer_core.events import EVENT, METRICS, MetricBlock, SpoolWriter, read_spool
from trainer_core.loggers import spool
from trainer_core.loggers.spool import SpoolLogger, _Pace

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


def test_logging_changes_no_bit_of_the_training_and_tells_what_it_cost(tmp_path: Path) -> None:
    class Logging(Line):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = super().training_step(batch, batch_idx)
            self.seen.append(loss.item())
            if self.trainer.loggers:
                for k in range(10):
                    self.log(f"metric_{k}", loss * k)
            return loss

    def trained(logger: Any) -> Logging:
        torch.manual_seed(0)
        module = Logging()
        options = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
        trainer = Trainer(max_epochs=5, accelerator="cpu", logger=logger, log_every_n_steps=1, **options)
        if logger:
            logger.follow(trainer)
        trainer.fit(module, DataLoader(TensorDataset(torch.randn(40, 4)), batch_size=4))
        return module

    logger = SpoolLogger(SpoolWriter(tmp_path))
    plain, logged = trained(False), trained(logger)
    logger._write_progress()
    logger.close()
    assert plain.seen == logged.seen
    assert torch.equal(plain.layer.weight, logged.layer.weight)
    assert sum(map(len, blocks(tmp_path))) == 50
    events = [frame.event() for frame in read_spool(tmp_path) if frame.type == EVENT]
    told = [event["logging"] for event in events if event["kind"] == "progress"][-1]
    assert told["calls"] == 50
    assert 0 < told["s"] < 60


def test_the_pace_is_of_training_alone_and_the_usual_one_of_what_was_before() -> None:
    pace, step, told = _Pace(), 0, {}
    for second in range(31):  # 100 steps a second, told each second; a checkpoint is saved in between
        step = 100 * second
        told = pace.told(
            {"data": 0.2 * second, "compute": 0.8 * second, "validation": 0.0, "save": float(second)}, step
        )
        assert second < 2 or told["pace"] == pytest.approx(100)
        assert second < 12 or told["usual_pace"] == pytest.approx(100)
    at_rest = pace.told({"data": 6.0, "compute": 24.0, "validation": 500.0, "save": 30.0}, step)
    assert at_rest["pace"] == pytest.approx(100), "a long validation is no slower training"
    for second in range(1, 12):
        told = pace.told({"data": 6.0 + second, "compute": 24.0, "validation": 500.0, "save": 30.0}, step + 40 * second)
    assert told["pace"] == pytest.approx(40, rel=0.2)
    assert told["usual_pace"] == pytest.approx(100, rel=0.05)
    assert pace.told({"compute": 0.1}, 5) == {"pace": None, "usual_pace": None}, "another fit began"
