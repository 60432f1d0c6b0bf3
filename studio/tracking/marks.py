"""Moments of a run that its charts point out: where an attempt went on after an interruption, and the best checkpoint."""

from __future__ import annotations

from typing import Any

from studio.runs.models import Attempt, Checkpoint


def marks_of(run_pk: int) -> list[dict[str, Any]]:
    """`[{"step", "kind": "resumed" | "best", "text"}]` on the surviving line, by step. Two queries."""
    attempts = Attempt.objects.filter(run_id=run_pk, ready_at__isnull=False).order_by("fence")
    rows = list(attempts.values_list("fence", "resume_step", "valid_to_step"))
    found = []
    for fence, step, valid_to in rows[1:]:
        if step > 0 and (valid_to is None or valid_to > step):
            found.append({"step": step, "kind": "resumed", "text": f"attempt {fence}"})
    best = Checkpoint.objects.usable().filter(run_id=run_pk, is_best=True).values_list("step", flat=True).first()
    if best is not None:
        found.append({"step": best, "kind": "best", "text": "best"})
    return sorted(found, key=lambda mark: mark["step"])
