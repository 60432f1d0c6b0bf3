"""What must hold however often a run's trainers were killed; each broken promise is one sentence."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from studio.runs import checkpoints
from studio.runs.models import Checkpoint, Run, State
from studio.tracking.stored import visible_blocks
from tests.chaos.promises import DOUBLED, LOST, STUCK, UNCOMMITTED, UNEQUAL

Points = dict[tuple[str, int], float]


@dataclass(frozen=True)
class Reference:
    """The same run, unbroken."""

    points: Points
    weights: str
    duration_s: float


def points_of(run: Run) -> Counter[tuple[str, int, float]]:
    """Every visible (name, step, value) and how often it is there."""
    found: Counter[tuple[str, int, float]] = Counter()
    for block in visible_blocks(run.pk):
        for name, values in zip(block.names, block.values, strict=True):
            found.update((name, int(step), value) for step, value in zip(block.steps, values, strict=True))
    return found


def weights_of(run: Run) -> str:
    """sha256 over the weights and optimizer states of the newest checkpoint."""
    import torch

    newest = checkpoints.newest(run)
    if newest is None:
        return "no checkpoint"
    state = torch.load(checkpoints.path_of(newest), weights_only=True)
    digest = hashlib.sha256()
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        _add(digest, state[key])
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        digest.update(str(value.dtype).encode() + value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        for key in value:
            digest.update(repr(key).encode())
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        for one in value:
            _add(digest, one)
    else:
        digest.update(repr(value).encode())


def broken_after_kill(run: Run, reference: Reference) -> list[str]:
    """What a person could have seen as safe before the kill is still there: points and files of committed checkpoints."""
    wrong = _damaged(run)
    newest = checkpoints.newest(run)
    found = points_of(run)
    if newest is not None:
        there = {(name, step): value for name, step, value in found}
        lost = [key for key, value in reference.points.items() if key[1] <= newest.step and there.get(key) != value]
        if lost:
            wrong.append(f"{LOST}: {sorted(lost)[:3]} with a checkpoint at step {newest.step}")
    return wrong + _doubled(found)


def broken_at_end(run: Run, reference: Reference) -> list[str]:
    if run.state != State.SUCCEEDED:
        return [f"{STUCK}: {run.state}, {run.reason}"]
    found = points_of(run)
    wrong = _damaged(run) + _doubled(found)
    there = {(name, step): value for name, step, value in found}
    if there != reference.points:
        differ = sorted(k for k in there.keys() | reference.points.keys() if there.get(k) != reference.points.get(k))
        wrong.append(f"{LOST}: {differ[:3]} are not as in the unbroken run")
    if weights_of(run) != reference.weights:
        wrong.append(UNEQUAL)
    return wrong


def _doubled(found: Counter[tuple[str, int, float]]) -> list[str]:
    times: Counter[tuple[str, int]] = Counter()
    for (name, step, _), count in found.items():
        times[name, step] += count
    twice = sorted(key for key, count in times.items() if count > 1)
    return [f"{DOUBLED}: {twice[:3]}"] if twice else []


def _damaged(run: Run) -> list[str]:
    """Read with nothing of the engine's: each row's manifest, and each file that this names."""
    wrong = []
    for row in Checkpoint.objects.filter(run=run, deleted_at__isnull=True):
        folder = checkpoints.folder_of(run.pk) / row.name
        try:
            manifest = (folder / "manifest.json").read_bytes()
            entries = json.loads(manifest)["files"].items()
            whole = hashlib.sha256(manifest).hexdigest() == row.manifest_sha256 and all(
                hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"] for name, entry in entries
            )
        except OSError:
            whole = False
        if not whole:
            wrong.append(f"{UNCOMMITTED}: {row.name}")
    return wrong
