"""Frames of a run as a worker stores them, and as a page hears them."""

from __future__ import annotations

from typing import Any

from studio.runs.models import Run
from studio.tracking.ingest import ingest
from trainer_core.events import MetricBlock, Position


def add(run: Run, first: int, last: int) -> None:
    """Ingest frames with these numbers, one point each, as a worker does."""
    blocks = [
        MetricBlock.from_rows(["loss"], [(seq * 10, 0.0, 1e9 + seq, [1 / seq])]) for seq in range(first, last + 1)
    ]
    assert ingest(run.pk, 1, blocks, Position(1, last)) == last


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [frame["c"] for message in messages if message.get("t") == "m" for frame in message["frames"]]


def up_to(seq: int) -> Any:
    return lambda message: message.get("t") == "m" and message["c"] >= seq
