"""From spool to database: one short fenced transaction a flush, so that every point is visible exactly once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db import transaction

from studio.runs import columns
from studio.runs.errors import StaleState
from studio.runs.models import HELD, Attempt, Run
from studio.tracking import publish
from studio.tracking.models import MetricFrame
from trainer_core.events import MetricBlock, Position

Summary = dict[str, dict[str, Any]]


def ingest(run_pk: int, fence: int, blocks: Sequence[MetricBlock], position: Position) -> int:
    """Store the blocks and move the attempt's spool cursor to `position`; returns the run's newest frame number.

    Replays (a position that is not ahead) change nothing. Points at or below the step that the attempt resumed from
    are refused; not those of an external run, which may count several things. StaleState when the attempt is not the
    newest of a held run. Costs one transaction: 2 SELECTs, 2 UPDATEs, 1 INSERT; every `columns.EVERY_S` about four more
    for the rows of the summary.
    """
    with transaction.atomic():
        wanted = ("pk", "project_id", "fence", "state", "source", "last_seq", "summary", "metrics_at")
        run = Run.objects.select_for_update().only(*wanted).get(pk=run_pk)
        if run.fence != fence or run.state not in HELD:
            raise StaleState(f"Attempt {fence} of run {run_pk} has been superseded.")
        attempt = Attempt.objects.get(run_id=run_pk, fence=fence)
        if position <= (attempt.spool_segment, attempt.spool_offset):
            return run.last_seq
        first = 0 if run.is_external else attempt.resume_step
        kept = [b for b in (after_step(b, first) for b in blocks) if len(b)]
        frames, seq = [], run.last_seq
        for block in kept:
            seq += 1
            frames.append(_frame(run_pk, fence, seq, block))
        Attempt.objects.filter(pk=attempt.pk).update(spool_segment=position.segment, spool_offset=position.offset)
        if frames:
            MetricFrame.objects.bulk_create(frames)
            summary = run.summary
            for block in kept:
                summarise(summary, block)
            written = run.metrics_at
            if columns.are_due(run):
                written = columns.write_metrics(run_pk, run.project_id, summary)
            Run.objects.filter(pk=run_pk).update(last_seq=seq, summary=summary, metrics_at=written)
            transaction.on_commit(lambda: publish.metrics(run_pk, fence, run.last_seq + 1, kept))
    return seq


def _frame(run_pk: int, fence: int, seq: int, block: MetricBlock) -> MetricFrame:
    return MetricFrame(
        run_id=run_pk,
        fence=fence,
        seq=seq,
        step0=int(min(block.steps)),
        step1=int(max(block.steps)),
        n=len(block),
        names=list(block.names),
        data=block.columns(),
    )


def check(block: MetricBlock) -> None:
    """ValueError for what no database keeps: steps of 2^63 and more or that are no number, names that are no text."""
    steps = np.frombuffer(block.steps, dtype=np.float64)
    if not (np.abs(steps) < 2.0**63).all():
        raise ValueError("points with a step of 2^63 or more, or one that is no number")
    for name in block.names:
        if not isinstance(name, str) or "\0" in name:
            raise ValueError(f"a metric with the name {name!r:.60}")
        name.encode()


def after_step(block: MetricBlock, step: int) -> MetricBlock:
    """The rows with a step above `step`."""
    if not len(block) or step <= 0 or min(block.steps) > step:
        return block
    keep = [i for i, s in enumerate(block.steps) if s > step]
    rows = [(block.steps[i], block.epochs[i], block.times[i], [v[i] for v in block.values]) for i in keep]
    return MetricBlock.from_rows(block.names, rows)


def summarise(summary: Summary, block: MetricBlock) -> None:
    """Fold a block into `summary[name]` = last, last_step, min, argmin, max, argmax, mean, count, nonfinite, first_step.

    min, max and mean are over finite values; last may be NaN or infinite, then it is the word.
    """
    steps = np.frombuffer(block.steps, dtype=np.float64)
    for name, column in zip(block.names, block.values, strict=True):
        values = np.frombuffer(column, dtype=np.float64)
        finite = np.isfinite(values)
        now = summary.setdefault(name, {"count": 0, "nonfinite": 0, "first_step": int(steps[0])})
        good = values[finite]
        if good.size:
            low, high = int(good.argmin()), int(good.argmax())
            if "min" not in now or good[low] < now["min"]:
                now["min"], now["argmin"] = float(good[low]), int(steps[finite][low])
            if "max" not in now or good[high] > now["max"]:
                now["max"], now["argmax"] = float(good[high]), int(steps[finite][high])
            seen = now["count"] - now["nonfinite"]
            total = seen + good.size  # divided first, since the sum of large values would be infinite
            now["mean"] = now.get("mean", 0.0) * (seen / total) + float((good / total).sum())
        now["count"] += values.size
        now["nonfinite"] += int(values.size - good.size)
        now["last"], now["last_step"] = json_number(float(values[-1])), int(steps[-1])


def json_number(value: float) -> float | str:
    """A finite number as it is; NaN, Infinity, -Infinity as words, since JSON has none."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def rebuild_summary(run_pk: int, fence: int, resume_step: int) -> None:
    """After a resume: fold again what is still visible, since abandoned points must not decide a best value."""
    from studio.tracking.stored import visible_blocks

    summary: Summary = {}
    for block in visible_blocks(run_pk):
        summarise(summary, block)
    Run.objects.filter(pk=run_pk, fence=fence).update(summary=summary, metrics_at=0)
