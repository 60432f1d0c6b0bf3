"""Checkpoints of a run: written while training goes on, told after their points, and survived when the disk is full."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.small import Validated, batches, trainer
from trainer_core.callbacks import run_checkpoint
from trainer_core.callbacks.run_checkpoint import RunCheckpoint
from trainer_core.checkpoint import fs, io
from trainer_core.durations import parse_duration
from trainer_core.events import EVENT, METRICS, SAVE_ORDER, Frame, SpoolWriter, read_spool
from trainer_core.loggers.spool import SpoolLogger
from trainer_core.spec import DataRef, ModelRef, RunSpec

STEPS = 12


class Run(Validated):
    """Keeps its weights after each step; `before_step` is called with the number of the step to come."""

    def __init__(self, before_step: Any = None) -> None:
        super().__init__()
        self.before_step = before_step or (lambda step: None)
        self.kept: dict[int, torch.Tensor] = {}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.kept[self.global_step] = self.layer.weight.detach().clone()
        self.before_step(self.global_step + 1)
        return super().training_step(batch, batch_idx)


def train(folder: Path, before_step: Any = None, every: str = "2st") -> tuple[Run, list[Frame]]:
    """12 steps, a checkpoint every second one; the frames that were written."""
    logger = SpoolLogger(SpoolWriter(folder / "spool"))
    often, order = parse_duration(every, name="every"), folder / SAVE_ORDER
    keeper = RunCheckpoint(folder / "checkpoints", fence=1, every=often, logger=logger, order=order)
    module = Run(before_step)
    options = {"max_epochs": 2, "log_every_n_steps": 1, "enable_checkpointing": True}
    trainer(callbacks=[keeper], logger=[logger], **options).fit(module, batches(6), batches(2))
    logger.close()
    return module, list(read_spool(folder / "spool", limit_bytes=1 << 30))


def told(frames: list[Frame], kind: str) -> list[dict[str, Any]]:
    return [f.event() for f in frames if f.type == EVENT and f.event()["kind"] == kind]


def test_each_holds_the_state_of_its_own_step(tmp_path: Path) -> None:
    module, frames = train(tmp_path)
    steps = [event["step"] for event in told(frames, "checkpoint")]
    assert steps == [2, 4, 6, 8, 10, 12]
    for step in steps[:-1]:
        saved = io.read_file(tmp_path / f"checkpoints/step-{step:08d}-f1")
        assert torch.equal(saved["state_dict"]["layer.weight"], module.kept[step]), step


def test_training_goes_on_while_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, later = io.write_folder, threading.Event()

    def slow(folder: Path, *args: Any) -> Any:
        assert later.wait(30), "the next step did not begin while the checkpoint was written"
        return real(folder, *args)

    monkeypatch.setattr(io, "write_folder", slow)
    module, frames = train(tmp_path, lambda step: later.set() if step == 4 else None)
    assert [event["step"] for event in told(frames, "checkpoint")] == [2, 4, 6, 8, 10, 12]
    saved = io.read_file(tmp_path / "checkpoints/step-00000002-f1")
    assert torch.equal(saved["state_dict"]["layer.weight"], module.kept[2])


def test_without_a_copy_it_would_hold_a_later_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checkpoint, "host_copy", lambda checkpoint: checkpoint)
    with pytest.raises(AssertionError):
        test_training_goes_on_while_one_is_written(tmp_path, monkeypatch)


def test_one_is_told_after_the_values_of_its_step(tmp_path: Path) -> None:
    _, frames = train(tmp_path)
    seen: set[int] = set()
    for frame in frames:
        if frame.type == METRICS:
            block = frame.metrics()
            seen.update(int(step) for step in block.steps if "loss" in block.names)
        elif frame.event()["kind"] == "checkpoint":
            assert seen >= set(range(1, frame.event()["step"] + 1))


def test_a_full_disk_is_told_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create, real, unlucky = fs.create, fs.write, set()

    def noted(path: Path) -> int:
        handle = create(path)
        (unlucky.add if any(f"step-{s:08d}" in str(path) for s in (4, 6, 8)) else unlucky.discard)(handle)
        return handle

    def write(handle: int, data: Any) -> None:
        if handle in unlucky:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle, data)

    monkeypatch.setattr(fs, "create", noted)
    monkeypatch.setattr(fs, "write", write)
    _, frames = train(tmp_path)
    notices = [(event["about"], event["text"]) for event in told(frames, "notice")]
    why = "could not be written (No space left on device); the newest good one is of step 2."
    rest = "Training goes on, and the next one is tried at its time."
    assert notices[0] == ("unsaved", f"The checkpoint of step 4 {why} {rest}")
    assert notices[1][1].endswith(f"{why} 2 in a row could not. {rest}")
    assert notices[-1] == ("saved", "Checkpoints can be written again: there is one of step 10.")
    steps = [event["step"] for event in told(frames, "checkpoint")]
    assert steps == [2, 10, 12]
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [f"step-{s:08d}-f1" for s in steps]
    for step in steps:
        io.verify_folder(tmp_path / f"checkpoints/step-{step:08d}-f1")


class Full(SpoolWriter):
    """A spool on a disk that is full for a while."""

    is_full = False

    def write(self, *frames: tuple[int, bytes]) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(*frames)


def test_points_wait_for_a_full_disk_in_their_order(tmp_path: Path) -> None:
    writer = Full(tmp_path)
    logger = SpoolLogger(writer)
    for step in range(30):
        writer.is_full = 5 <= step < 20
        logger.log_metrics({"loss": torch.tensor(float(step))}, step)
        if step % 3 == 0:
            logger.event("checkpoint", step=step + 1)
    logger.close()
    seen: list[int] = []
    for frame in read_spool(tmp_path, limit_bytes=1 << 30):
        if frame.type == METRICS:
            seen += [int(step) for step in frame.metrics().steps]
        else:
            assert frame.event()["step"] <= max(seen)
    assert seen == list(range(1, 31))


def test_one_is_saved_after_the_step_at_which_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checkpoint, "LOOK_EVERY_S", 0.0)
    order = tmp_path / SAVE_ORDER
    module, frames = train(tmp_path, lambda step: order.touch() if step in (3, 7, 8) else None, every="100st")
    found = [(c["step"], c["reason"]) for c in told(frames, "checkpoint")]
    assert found == [(3, "asked"), (7, "asked"), (8, "asked"), (STEPS, "end")]
    assert not order.exists()
    saved = io.read_file(tmp_path / "checkpoints/step-00000007-f1")
    assert torch.equal(saved["state_dict"]["layer.weight"], module.kept[7])


def test_an_order_at_a_step_that_is_saved_already_is_heard_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checkpoint, "LOOK_EVERY_S", 0.0)
    order = tmp_path / SAVE_ORDER
    _, frames = train(tmp_path, lambda step: order.touch() if step == 4 else None, every="4st")
    found = [(c["step"], c["reason"]) for c in told(frames, "checkpoint")]
    assert found == [(4, "interval"), (5, "asked"), (8, "interval"), (STEPS, "interval")]


def test_a_file_names_no_place_of_the_machine(tmp_path: Path) -> None:
    """It may be handed out; a datamodule of somebody's own keeps its arguments in it, the path of its file among them."""
    place = str(tmp_path / "blobs" / "0123.csv")
    data = DataRef("file", "Mine", code="class Mine: pass", files={"path": place})
    spec = RunSpec(model=ModelRef("zoo", "MLP"), data=data)
    keeper = RunCheckpoint(
        tmp_path,
        fence=1,
        every=parse_duration("1ep", name="every"),
        logger=SpoolLogger(SpoolWriter(tmp_path)),
        spec=spec,
    )
    checkpoint: dict[str, Any] = {"datamodule_hyper_parameters": {"path": place, "batch_size": 4}}
    keeper.on_save_checkpoint(trainer(), Run(), checkpoint)
    assert str(tmp_path) not in repr(checkpoint)
    assert checkpoint["datamodule_hyper_parameters"] == {"path": "0123.csv", "batch_size": 4}
