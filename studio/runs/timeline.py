"""The attempts of a run along time: getting ready, training, and the gaps between them in which nobody worked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from django.utils import timezone

from studio.runs.models import Attempt, Run

WIDTH = 1000.0  # of the whole drawing, in its own units
LEAST = 3.0  # a part that is shorter can still be seen
Kind = Literal["ready", "train", "down"]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar: `x` and `width` in units of the drawing, `seconds` it lasted; `words` say what it is."""

    kind: Kind
    x: float
    width: float
    seconds: float
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """An attempt: how long nobody worked before it, how long it took to get ready, and how long it trained."""

    attempt: Attempt
    down_s: float | None
    ready_s: float | None
    trained_s: float | None
    abandoned_after: int | None


def rows(attempts: Sequence[Attempt], now: datetime | None = None) -> list[Row]:
    """Of attempts in the order of their fences."""
    now = now or timezone.now()
    found = []
    before: Attempt | None = None
    for attempt in attempts:
        down = _seconds(before.ended_at, attempt.started_at) if before else None
        end = attempt.ended_at or now
        ready = _seconds(attempt.started_at, attempt.ready_at or end)
        trained = _seconds(attempt.ready_at, end) if attempt.ready_at else None
        found.append(Row(attempt, down, ready, trained, attempt.valid_to_step))
        before = attempt
    return found


def parts(run: Run, attempts: Sequence[Attempt], now: datetime | None = None) -> list[Part]:
    """The bar, from the first attempt's start to the run's end or to now; empty without an attempt."""
    if not attempts:
        return []
    now = now or timezone.now()
    pieces: list[tuple[Kind, datetime, datetime, str]] = []
    for attempt in attempts:
        name, end = f"attempt {attempt.fence}", attempt.ended_at or now
        ready = min(attempt.ready_at or end, end)
        pieces.append(("ready", attempt.started_at, ready, f"{name} gets ready"))
        if attempt.ready_at:
            pieces.append(("train", ready, end, f"{name} trains"))
    for one, other in pairwise(attempts):
        if one.ended_at:
            pieces.append(("down", one.ended_at, other.started_at, f"nobody works, before attempt {other.fence}"))
    last = attempts[-1]
    if last.ended_at and not run.is_settled:
        pieces.append(("down", last.ended_at, now, "nobody works"))
    start = attempts[0].started_at
    span = max((max(piece[2] for piece in pieces) - start).total_seconds(), 0.001)

    def part(piece: tuple[Kind, datetime, datetime, str]) -> Part:
        kind, begin, end, words = piece
        seconds = max((end - begin).total_seconds(), 0.0)
        x = (begin - start).total_seconds() / span * WIDTH
        width = max(seconds / span * WIDTH, LEAST)
        return Part(kind, round(min(x, WIDTH - width), 1), round(width, 1), seconds, words)

    return [part(piece) for piece in sorted(pieces, key=lambda piece: piece[1])]


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else max((end - begin).total_seconds(), 0.0)
