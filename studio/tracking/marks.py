"""Moments of a run that its charts point out: where an attempt went on after an interruption, and its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from studio.runs.models import Attempt, Checkpoint
from studio.tracking.places import places_of
from studio.tracking.query import Axis

MOST_CHECKPOINTS = 200


def marks_of(run_pk: int) -> list[dict[str, Any]]:
    """`[{"step", "kind": "resumed" | "best" | "checkpoint", "text"}]` on the surviving line, by step. Two queries.

    Of the checkpoints that are not the best one, the MOST_CHECKPOINTS newest.
    """
    attempts = Attempt.objects.filter(run_id=run_pk, ready_at__isnull=False).order_by("fence")
    rows = list(attempts.values_list("fence", "resume_step", "valid_to_step"))
    found = []
    for fence, step, valid_to in rows[1:]:
        if step > 0 and (valid_to is None or valid_to > step):
            found.append({"step": step, "kind": "resumed", "text": f"attempt {fence}"})
    kept = Checkpoint.objects.usable().filter(run_id=run_pk).order_by("-is_best", "-step")
    best = None
    for step, is_best in kept.values_list("step", "is_best")[: MOST_CHECKPOINTS + 1]:
        if is_best and best is None:
            best = step
            found.append({"step": step, "kind": "best", "text": "best"})
        elif step != best:
            found.append({"step": step, "kind": "checkpoint", "text": "checkpoint"})
    return sorted(found, key=lambda mark: mark["step"])


def placed(run_pk: int, marks: Sequence[Mapping[str, Any]], x: Axis) -> list[dict[str, Any]]:
    """Each with `x`, its place along that axis; none where the run has no points along it. Queries of `places_of`."""
    if not marks:
        return []
    places = places_of(run_pk, [mark["step"] for mark in marks], x)
    return [] if places is None else [{**mark, "x": at} for mark, at in zip(marks, places, strict=True)]
