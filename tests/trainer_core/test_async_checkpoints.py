"""Checkpoints that a thread writes while training goes on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Validated, batches, fit
from trainer_core.callbacks import ModelCheckpoint
from trainer_core.checkpoint.asynchronous import AsyncCheckpointIO
from trainer_core.checkpoint.io import CheckpointIO


class Held(CheckpointIO):
    """Writes when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        assert self.may_write.wait(60)
        super().save_checkpoint(checkpoint, path, storage_options)


def test_a_save_returns_at_once_and_keeps_the_values_of_that_moment(tmp_path: Path) -> None:
    held = Held()
    store = AsyncCheckpointIO(held)
    weight = torch.ones(3)
    store.save_checkpoint({"state_dict": {"w": weight}}, tmp_path / "a.ckpt")
    weight.zero_()
    assert not (tmp_path / "a.ckpt").exists()
    held.may_write.set()
    loaded = store.load_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(loaded["state_dict"]["w"], torch.ones(3))
    store.teardown()


def test_a_removal_comes_after_the_write_before_it(tmp_path: Path) -> None:
    held = Held()
    store = AsyncCheckpointIO(held)
    store.save_checkpoint({"state_dict": {}}, tmp_path / "a.ckpt")
    store.remove_checkpoint(tmp_path / "a.ckpt")
    held.may_write.set()
    store.teardown()
    assert list(tmp_path.iterdir()) == []


def test_the_error_of_a_write_is_raised_at_the_latest_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = AsyncCheckpointIO()
    store.save_checkpoint({"state_dict": {}}, tmp_path / "file" / "a.ckpt")
    with pytest.raises(OSError):
        store.teardown()


def test_versions_of_the_state_are_kept(tmp_path: Path) -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    store = AsyncCheckpointIO()
    store.save_checkpoint({"state_dict": state}, tmp_path / "a.ckpt")
    assert store.load_checkpoint(tmp_path / "a.ckpt")["state_dict"]._metadata == state._metadata
    store.teardown()


def test_training_with_it_leaves_the_files_that_the_usual_way_leaves(tmp_path: Path) -> None:
    def train(name: str, **options: Any) -> list[str]:
        saver = ModelCheckpoint(tmp_path / name, save_top_k=2, monitor="loss", save_last=True)
        torch.manual_seed(0)
        fit(Validated(), batches(), callbacks=[saver], max_epochs=3, **options)
        return sorted(p.name for p in (tmp_path / name).iterdir())

    assert train("thread", plugins=AsyncCheckpointIO()) == train("usual")
