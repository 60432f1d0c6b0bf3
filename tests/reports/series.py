"""Metrics of a run as a worker stores them."""

from __future__ import annotations

import math

from studio.runs.models import Attempt, Run
from studio.tracking.ingest import ingest
from trainer_core.events import MetricBlock, Position


def log_series(run: Run, values: dict[str, list[float]], *, first: int = 1) -> None:
    """One point of every metric a step, from the step `first` on."""
    longest = max(len(some) for some in values.values())
    rows = [
        (first + i, 0.0, 1e9 + first + i, [some[i] if i < len(some) else math.nan for some in values.values()])
        for i in range(longest)
    ]
    at = Attempt.objects.get(run=run, fence=run.fence).spool_offset
    ingest(run.pk, run.fence, [MetricBlock.from_rows(list(values), rows)], Position(1, at + 1))
