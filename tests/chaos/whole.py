"""What must hold of a run of the whole studio that faults were done to; each broken promise is one sentence."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from studio.client.runs import Run
from studio.runs.states import TRANSITIONS
from tests.chaos.stack import Stack
from tests.ops.stack import eventually


@dataclass(frozen=True)
class Reference:
    """The same run, unbroken: points of its loss, and its last weights."""

    steps: list[float]
    values: list[float]
    weights: dict[str, Any]


def reference_of(run: Run) -> Reference:
    found = run.series("train_loss")
    return Reference(found.steps, found.values, weights_of(run))


def weights_of(run: Run) -> dict[str, Any]:
    """Of the newest checkpoint, downloaded and verified."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = run.download_checkpoint(Path(folder), checkpoint=run.checkpoints()[0])
        return dict(torch.load(path, weights_only=True)["state_dict"])


def broken(stack: Stack, run: Run, reference: Reference) -> list[str]:
    """Promises that a run which should have succeeded did not keep."""
    import torch

    wrong = [] if run.refresh().state == "succeeded" else [f"it is {run.state}: {run.reason}"]
    found = run.series("train_loss")
    wrong += [] if found.steps == sorted(set(found.steps)) else ["a step is visible twice or out of order"]
    missing = set(reference.steps) - set(found.steps)
    wrong += [f"{len(missing)} points are lost, such as step {min(missing):.0f}"] if missing else []
    if not wrong and found.values != reference.values:
        wrong.append("a point differs from that of the unbroken run")
    if not wrong:
        weights = weights_of(run)
        same = all(torch.equal(weights[k], v) for k, v in reference.weights.items())
        wrong += [] if same else ["its weights differ from those of the unbroken run"]
    return wrong + broken_history(stack, run)


def broken_history(stack: Stack, run: Run) -> list[str]:
    """Attempts one after the other, a legal path of states, no process left, each checkpoint's files as its row says."""
    wrong = []
    attempts = stack.rows(
        "select fence, started_at, ended_at from runs_attempt where run_id = ? order by fence", run.id
    )
    wrong += [] if [a[0] for a in attempts] == list(range(1, len(attempts) + 1)) else ["an attempt is missing"]
    overlaps = [b[0] for a, b in pairwise(attempts) if a[2] is None or b[1] < a[2]]
    wrong += [f"attempts {overlaps} began before the one before had ended"] if overlaps else []
    query = "select from_state, to_state from runs_runevent where run_id = ? and kind = 'state' order by id"
    path = stack.rows(query, run.id)
    wrong += [f"{a} became {b}" for a, b in path if b not in TRANSITIONS[a]]  # type: ignore[index]
    wrong += ["its history has a gap" for a, b in pairwise(path) if a[1] != b[0]]
    try:
        eventually(lambda: not stack.trainers(run), "", 12.0)
    except AssertionError:
        wrong.append(f"processes are left: {stack.trainers(run)}")
    return wrong
