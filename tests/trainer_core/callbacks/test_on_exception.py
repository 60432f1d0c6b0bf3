"""OnExceptionCheckpoint: when it saves, what it leaves alone, and that fit goes on from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Line, Validated, batches, fit, trainer, weights
from trainer_core import seed_everything
from trainer_core.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from trainer_core.errors import SIGTERMException


class Fails(Line):
    """Raises at the given batch of the run."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self.at, self.error = at, error

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.trainer.global_step == self.at:
            raise self.error
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt(), SIGTERMException("stop")])
def test_fit_goes_on_where_the_error_was_and_the_file_is_gone_after(tmp_path: Path, error: BaseException) -> None:
    seed_everything(1, verbose=False)
    _, whole = fit(max_epochs=2)
    seed_everything(1, verbose=False)
    with pytest.raises(type(error)):
        fit(Fails(13, error), callbacks=[OnExceptionCheckpoint(tmp_path)], max_epochs=2)
    assert [p.name for p in tmp_path.iterdir()] == ["on_exception.ckpt"]
    again, module = fit(callbacks=[OnExceptionCheckpoint(tmp_path)], max_epochs=2)
    assert again.ckpt_path == str(tmp_path / "on_exception.ckpt")
    assert again.global_step == 20
    assert torch.equal(weights(module), weights(whole))
    assert not list(tmp_path.iterdir())


def test_without_a_file_fit_starts_anew(tmp_path: Path) -> None:
    ours, _ = fit(callbacks=[OnExceptionCheckpoint(tmp_path, "name")])
    assert ours.ckpt_path is None
    assert ours.global_step == 10


def test_an_error_before_training_keeps_the_file_of_the_last_time(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"):
        fit(Fails(7, ValueError("boom")), callbacks=[OnExceptionCheckpoint(tmp_path)])
    file = tmp_path / "on_exception.ckpt"
    before = file.read_bytes()

    class Broken(Line):
        def on_fit_start(self) -> None:
            raise OSError("no data")

    with pytest.raises(OSError, match="no data"):
        fit(Broken(), callbacks=[OnExceptionCheckpoint(tmp_path)])
    assert file.read_bytes() == before
    # Neither does another function of the trainer use it up.
    trainer(callbacks=[OnExceptionCheckpoint(tmp_path)]).validate(Validated(), batches(), verbose=False)
    assert file.read_bytes() == before


def test_last_means_the_newest_of_both_kinds(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=2)
    with pytest.raises(ValueError, match="boom"):
        fit(Fails(7, ValueError("boom")), callbacks=[saver, OnExceptionCheckpoint(tmp_path)])
    os.utime(tmp_path / "last.ckpt", (1, 1))
    again = [ModelCheckpoint(tmp_path, save_last=True), OnExceptionCheckpoint(tmp_path)]
    ours, _ = fit(callbacks=again, ckpt_path="last")
    assert Path(str(ours.ckpt_path)).name == "on_exception.ckpt"


def test_best_is_never_the_file_of_an_error(tmp_path: Path) -> None:
    ours, module = fit(Validated(), callbacks=[OnExceptionCheckpoint(tmp_path)])
    with pytest.raises(ValueError, match="no ModelCheckpoint"):
        ours.validate(module, batches(), ckpt_path="best")


def test_a_name_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="filename"):
        OnExceptionCheckpoint(tmp_path, "")


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"):
        fit(Fails(1, ValueError("boom")), callbacks=[OnExceptionCheckpoint(tmp_path)], fast_dev_run=3)
    assert not list(tmp_path.iterdir())
