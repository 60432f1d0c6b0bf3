"""Power cuts at every moment of writing checkpoints: what was committed is read, what was not is passed over."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer_core.checkpoint.power import Operation, Recorder, power_cuts, write_state
from trainer_core.checkpoint import fs, io
from trainer_core.errors import CheckpointError

NAMES = ("step-1", "step-2")
STEPS = {name: number for number, name in enumerate(NAMES, 1)}


def written(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Operation], dict[str, int]]:
    """The operations of two checkpoints, and after how many of them each was committed."""
    recorder, committed = Recorder(root, monkeypatch), {}
    for name in NAMES:
        io.write_folder(root / name, {"step": STEPS[name], "weights": torch.full((3,), STEPS[name])})
        committed[name] = len(recorder.operations)
    return recorder.operations, committed


def broken_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """How many disks there are, and what is wrong on one of them."""
    with monkeypatch.context() as patched:
        operations, committed = written(tmp_path / "real", patched)
    states = 0
    for done, state in power_cuts(operations):
        states += 1
        root = tmp_path / "disk"
        write_state(state, root)
        safe = [name for name in NAMES if committed[name] <= done]
        read = newest(root)
        if safe and (read is None or read < STEPS[safe[-1]]):
            return states, f"after {done} operations {safe[-1]} was committed, and {read} is read"
        shutil.rmtree(root, ignore_errors=True)
    return states, ""


def newest(root: Path) -> int | None:
    """The step of the newest checkpoint that verifies; it must be what was written."""
    for name in reversed(NAMES):
        try:
            io.verify_folder(root / name)
        except CheckpointError:
            continue
        checkpoint = io.read_file(root / name)
        assert (checkpoint["step"], checkpoint["weights"].tolist()) == (STEPS[name], [STEPS[name]] * 3)
        return STEPS[name]
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "real").mkdir()
    return tmp_path


def test_a_power_cut_at_any_moment_loses_nothing_that_was_committed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, wrong = broken_states(folder, monkeypatch)
    assert states > 60
    assert wrong == ""


def nothing(*args: Any) -> None:
    """In the place of an operation."""


def rename_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has its name before its files are written."""

    def write_folder(folder: Path, checkpoint: dict[str, Any], extra: Any = None) -> Any:
        fs.make_folder(folder)
        handle = fs.create(folder / io.FILE)
        fs.write(handle, b"first half")
        fs.close(handle)
        fs.sync_folder(folder.parent)

    monkeypatch.setattr(io, "write_folder", write_folder)


def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fs, "sync", nothing)


def no_sync_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fs, "sync_folder", nothing)


@pytest.mark.parametrize("break_it", [no_sync, no_sync_of_folders, rename_first])
def test_leaving_out_any_part_of_the_commit_is_found_out(
    break_it: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if break_it is rename_first:
        break_it(monkeypatch)
        _, wrong = broken_states(folder, monkeypatch)
    else:
        with monkeypatch.context() as patched:
            # The recorder notes only what is called through it: what is left out is not recorded either.
            record = Recorder.__init__

            def recorder(self: Any, root: Path, inner: Any) -> None:
                record(self, root, inner)
                break_it(inner)

            patched.setattr(Recorder, "__init__", recorder)
            _, wrong = broken_states(folder, monkeypatch)
    assert wrong


def test_the_file_of_one_checkpoint_is_the_old_or_the_new_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        recorder = Recorder(folder / "real", patched)
        io.write_file(folder / "real" / "last.ckpt", {"step": 1})
        first = len(recorder.operations)
        io.write_file(folder / "real" / "last.ckpt", {"step": 2})
        operations = recorder.operations
    for number, (done, state) in enumerate(itertools.dropwhile(lambda cut: cut[0] < first, power_cuts(operations))):
        root = folder / f"disk-{number}"
        write_state(state, root)
        assert io.read_file(root / "last.ckpt")["step"] in ((2,) if done == len(operations) else (1, 2))
