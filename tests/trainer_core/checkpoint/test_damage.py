"""A small piece of `python -m tests.chaos files`: the same damages each time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.chaos.damage import damaged
from trainer_core.checkpoint import io
from trainer_core.errors import CheckpointError


def test_every_damaged_file_is_noticed_and_the_older_checkpoint_taken(tmp_path: Path) -> None:
    assert damaged(tmp_path, 60, seed=2) == []


def test_a_manifest_that_still_fits_its_file_is_noticed_by_its_own_sha256(tmp_path: Path) -> None:
    io.write_folder(tmp_path / "a", {"global_step": 1}, {"metrics": {"loss": 0.5}})
    manifest = tmp_path / "a" / io.MANIFEST
    committed = hashlib.sha256(manifest.read_bytes()).hexdigest()
    io.verify_folder(tmp_path / "a", committed)
    manifest.write_text(manifest.read_text().replace("0.5", "0.1"))
    io.verify_folder(tmp_path / "a")
    with pytest.raises(CheckpointError, match="not the one that was committed"):
        io.verify_folder(tmp_path / "a", committed)
