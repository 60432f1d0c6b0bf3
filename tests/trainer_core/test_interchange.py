"""Checkpoints go from this engine to Lightning and back: the run goes on and ends in the bits of the unbroken one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.architecture.source import ROOT

pytest.importorskip("lightning")

KINDS = ("usual", "manual", "averaged", "halves")
HALF, WHOLE = 2, 4
Run = tuple[str, Path, int, "Path | None"]


def runs(side: str, wanted: list[Run]) -> dict[Path, dict[str, Any]]:
    """Folder → result of each run, all in one process of that engine."""
    lines = json.dumps([[k, str(f), e, None if c is None else str(c)] for k, f, e, c in wanted])
    command = [sys.executable, "-m", "tests.trainer_core.interchange_run", side]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stderr
    return dict(zip([f for _, f, _, _ in wanted], json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what each engine wrote: SIDE/KIND/*.ckpt after HALF epochs."""
    folder = tmp_path_factory.mktemp("first")
    for side in ("ours", "theirs"):
        runs(side, [(k, folder / side / k, HALF, None) for k in (*KINDS, "middle", "weights")])
    return folder


@pytest.fixture(scope="module")
def ended(first: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """(side, kind) → result of going on from the other side's file; side "unbroken" never stopped."""
    folder = tmp_path_factory.mktemp("second")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for side, other in (("ours", "theirs"), ("theirs", "ours")):
        wanted: list[Run] = [(k, folder / side / k, WHOLE, first / other / k / "last.ckpt") for k in KINDS]
        wanted.append(("loaded", folder / side / "loaded", 0, first / other / "usual" / "last.ckpt"))
        wanted.append(("loaded", folder / side / "weights", 0, first / other / "weights" / "epoch=1-step=20.ckpt"))
        if side == "ours":
            wanted.append(("middle", folder / side / "middle", WHOLE, first / other / "middle" / "step=12.ckpt"))
            wanted += [(k, folder / "unbroken" / k, WHOLE, None) for k in (*KINDS, "middle")]
        found |= {(f.parent.name, f.name): result for f, result in runs(side, wanted).items()}
    return found


@pytest.mark.parametrize("kind", [*KINDS, "middle"])
def test_lightnings_file_goes_on_here_to_the_same_bits(kind: str, ended: Any) -> None:
    assert_same(ended["ours", kind], ended["unbroken", kind])


@pytest.mark.parametrize("kind", KINDS)
def test_our_file_goes_on_in_lightning_to_the_same_bits(kind: str, ended: Any) -> None:
    assert_same(ended["theirs", kind], ended["unbroken", kind])


def assert_same(resumed: dict[str, Any], unbroken: dict[str, Any]) -> None:
    for key in ("weights", "steps", "epoch", "metrics", "best"):
        assert resumed[key] == unbroken[key], key


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_load_from_checkpoint_reads_the_other_sides_file(side: str, ended: Any, first: Path) -> None:
    for loaded in (ended[side, "loaded"], ended[side, "weights"]):
        assert loaded["hparams"] == {"width": 8, "rates": [0.05], "note": "other"}
        assert loaded["data"]["size_of_batch"] == 3
    assert ended["ours", "loaded"]["weights"] == ended["theirs", "loaded"]["weights"]
    assert ended[side, "loaded"]["data"]["epochs"] == HALF


@pytest.mark.parametrize("kind", [*KINDS, "middle", "weights"])
def test_both_files_have_the_same_keys_types_and_tensors(kind: str, first: Path) -> None:
    names = {path.name for path in (first / "ours" / kind).glob("*.ckpt")}
    assert names == {path.name for path in (first / "theirs" / kind).glob("*.ckpt")}
    for name in names:
        ours, theirs = (torch.load(first / side / kind / name, weights_only=True) for side in ("ours", "theirs"))
        ours.pop("trainer_core", None)  # what only this engine keeps; the other ignores it
        found = differences(ours, theirs)
        assert [d for d in found if not any(word in d for word in INFORMATIVE)] == []


# Not needed to go on: counts within the present epoch, words about a stop, an epoch, elapsed times, a last file's name.
INFORMATIVE = ("progress/current/", "'stopping_reason", "'latest_update_epoch'", "/time_elapsed", "/last_model_path")


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Places where the files differ; the folders in the states of callbacks excepted."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if where.endswith("/best_k_models"):
            ours, theirs = ({Path(path).name: score for path, score in side.items()} for side in (ours, theirs))
        one_sided = [f"{where}: {key!r} in one only" for key in ours.keys() ^ theirs.keys()]
        shared = ours.keys() & theirs.keys()
        return one_sided + [d for key in shared for d in differences(ours[key], theirs[key], f"{where}/{key}")]
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        return [d for i, pair in enumerate(zip(ours, theirs, strict=True)) for d in differences(*pair, f"{where}/{i}")]
    if isinstance(ours, torch.Tensor):
        return [] if isinstance(theirs, torch.Tensor) and torch.equal(ours, theirs) else [f"{where}: tensors differ"]
    if where.startswith("/callbacks/") and isinstance(ours, str) and isinstance(theirs, str):
        ours, theirs = Path(ours).name, Path(theirs).name
    return [] if ours == theirs and type(ours) is type(theirs) else [f"{where}: {ours!r} and {theirs!r}"]
