"""A run of another tracker as it was found, and blocks out of its points."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from studio.client.importers.found_media import FoundMedia
from studio.client.recorder import problem_of
from trainer_core.events import MetricBlock

MOST_ROWS = 8192
MOST_VALUES = 1 << 17
Row = tuple[float, float, float, dict[str, float]]  # step, epoch, seconds since 1970, values


@dataclass
class Found:
    """`identity` is the same wherever the files lie; `blocks()` reads all points anew, `media()` all media, each time
    alike."""

    identity: str
    name: str
    blocks: Callable[[], Iterable[MetricBlock]]
    config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    note: str = ""
    started: float | None = None
    ended: float | None = None
    outcome: str = "ok"
    reason: str = "Imported."
    media: Callable[[], Iterable[FoundMedia]] = tuple


def blocks_of_rows(rows: Iterable[Row]) -> Iterator[MetricBlock]:
    """Rows that follow each other and have the same names share a block."""
    names: tuple[str, ...] = ()
    waiting: list[tuple[float, float, float, list[float]]] = []
    for step, epoch, time, values in rows:
        own = tuple(name for name in sorted(values) if not problem_of(name))
        if own != names or len(waiting) >= MOST_ROWS or len(waiting) * (3 + len(names)) > MOST_VALUES:
            if waiting:
                yield MetricBlock.from_rows(names, waiting)
            names, waiting = own, []
        if own:
            waiting.append((step, epoch, time, [values[name] for name in own]))
    if waiting:
        yield MetricBlock.from_rows(names, waiting)


class Series:
    """Points of single metrics, as they come; each becomes blocks of its own."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array[float], array[float], array[float]]] = {}

    def add(self, name: str, step: float, time: float, value: float) -> Iterator[MetricBlock]:
        """Keep it; a block when there are enough."""
        if name not in self._columns:
            self._columns[name] = (array("d"), array("d"), array("d"))
        steps, times, values = self._columns[name]
        steps.append(step)
        times.append(time)
        values.append(value)
        if len(steps) >= MOST_ROWS:
            yield self._taken(name)

    def rest(self) -> Iterator[MetricBlock]:
        for name in list(self._columns):
            if not problem_of(name):
                yield self._taken(name)

    def _taken(self, name: str) -> MetricBlock:
        steps, times, values = self._columns.pop(name)
        return MetricBlock((name,), steps, array("d", bytes(8 * len(steps))), times, (values,))
