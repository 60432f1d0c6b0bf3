"""The results of a run: taken over from the trainer once an attempt, checked, and why there are none."""

from __future__ import annotations

import json
import math
from typing import Any

from django.db import transaction

from studio.runs.errors import StaleState
from studio.runs.lease import is_held
from studio.runs.models import Run, State
from studio.tracking.models import RunResult

MOST_BYTES = 4 << 20
TASKS = ("classification", "regression")
NEEDED: dict[str, dict[str, type]] = {
    "classification": {"rows": int, "classes": list, "per_class": list, "confused": list, "worst": list},
    "regression": {"rows": int, "points": dict, "residuals": dict, "worst": list},
}
LEFT_OUT = ("kind", "t", "task", "reason", "checkpoint")


def keep_results(run_pk: int, fence: int, event: dict[str, Any]) -> RunResult:
    """Store a `results` event; a replay replaces it. Costs one transaction of three queries.

    ValueError for one that does not fit, or of more than MOST_BYTES. StaleState when the attempt is superseded.
    """
    task, data = event.get("task"), {k: v for k, v in event.items() if k not in LEFT_OUT}
    if task is not None and task not in TASKS:
        raise ValueError(f"results of the task {task!r:.60}; known are {', '.join(TASKS)}")
    if task is not None:
        _check(task, data)
    if len(json.dumps(data)) > MOST_BYTES:
        raise ValueError(f"results of more than {MOST_BYTES >> 20} MB")
    with transaction.atomic():
        if not is_held(run_pk, fence):
            raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
        row, _ = RunResult.objects.update_or_create(
            run_id=run_pk,
            fence=fence,
            defaults={
                "task": task or "",
                "reason": "" if task else _text(event.get("reason"))[:2000],
                "checkpoint": _text(event.get("checkpoint"))[:80],
                "data": json.loads(json.dumps(data).replace("\\u0000", "\\ufffd")) if task else {},
            },
        )
    return row


def results_of(run: Run) -> RunResult | None:
    """Those of the newest attempt that told any. One query."""
    return RunResult.objects.filter(run_id=run.pk).first()


def why_none(run: Run, result: RunResult | None) -> str:
    """The end of “This run has no results because …”, in words; empty when it has some."""
    if result is not None and result.task:
        return ""
    if result is not None and result.reason:
        return result.reason
    if run.is_external:
        return "it runs outside of the studio, which makes them only of what it trains itself."
    if not run.is_settled:
        return "it has not ended yet; they are made at its end, from the best checkpoint and the validation split."
    if run.state == State.FAILED:
        return "it failed before they could be made."
    if run.state == State.CANCELLED:
        return "it was cancelled before its end."
    return "it was trained before results were kept. Run it again to get them."


def ratio_text(value: Any) -> str:
    """0.9734 as 97.3 %; a dash for what is 0/0."""
    return f"{100 * value:.1f} %" if isinstance(value, int | float) and math.isfinite(value) else "–"


def _check(task: str, data: dict[str, Any]) -> None:
    for name, kind in NEEDED[task].items():
        if not isinstance(data.get(name), kind) or isinstance(data.get(name), bool):
            raise ValueError(f"results whose {name} is not a {kind.__name__}")
    if not all(isinstance(one, dict) for one in data["worst"]):
        raise ValueError("results whose worst examples are not objects")
    if task == "regression":
        lists = [data["points"].get("true"), data["points"].get("predicted"), data["residuals"].get("counts")]
        if not all(isinstance(one, list) for one in lists):
            raise ValueError("results without their points and residuals")
        return
    classes = len(data["classes"])
    matrix = data.get("confusion")
    if len(data["per_class"]) != classes or not all(isinstance(one, dict) for one in data["per_class"]):
        raise ValueError("results whose per_class does not have a line for each class")
    if matrix is not None and (len(matrix) != classes or any(len(row) != classes for row in matrix)):
        raise ValueError("results whose confusion matrix is not square")
    if any(not 0 <= i < classes for pair in data["confused"] for i in pair[:2]):
        raise ValueError("results whose confused pairs name a class that there is not")


def _text(value: Any) -> str:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else ""
