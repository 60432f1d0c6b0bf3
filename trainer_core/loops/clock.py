"""StepClock: where the time of a fit goes, always on: waiting for data, copying, computing, validating, saving."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch

#: CUDA events are recorded in one step of so many: three records in each step would cost a small model a percent.
SAMPLE_EVERY = 8
PARTS = ("data", "copy", "compute", "validation", "save", "other")


class StepClock:
    """Seconds of each part since `start`. Costs a step three clock readings, and no wait for a device.

    The loop itself adds to `data` and `compute` and sets `last`; what happens seldom is measured with `taking`. `other`
    (hooks, callbacks, logging, schedulers) is what is left of the time that has passed.
    """

    __slots__ = ("_began", "_device", "_open", "_runs", "_taken", "compute", "copy", "data", "last")

    def __init__(self) -> None:
        self.start(torch.device("cpu"))
        self.stop()

    def start(self, device: torch.device) -> None:
        """A fit begins on `device`."""
        self.data = self.copy = self.compute = 0.0
        self._taken = dict.fromkeys(PARTS, 0.0)
        self._open: tuple[str, float] | None = None
        self._device = DeviceTimes() if device.type == "cuda" else None
        self._runs = True
        self._began = self.last = perf_counter()

    def stop(self) -> None:
        """The fit is over; what happens from now on does not count."""
        self._runs = False

    @contextmanager
    def taking(self, part: str) -> Iterator[None]:
        """What happens inside counts for `part`, and not for a part around it."""
        if not self._runs:
            yield
            return
        outer, now = self._open, perf_counter()
        if outer is not None:
            self._taken[outer[0]] += now - outer[1]
        self._open = (part, now)
        try:
            yield
        finally:
            now = perf_counter()
            self._taken[part] += now - self._open[1]
            self._open = None if outer is None else (outer[0], now)
            self.last = now

    def placing(self, place: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`place`, timed; on a CUDA device the copy runs beside the host, so there the device's own time counts."""
        device = self._device

        def timed(batch: Any) -> Any:
            began = perf_counter()
            if device is not None:
                device.copy_begins()
            placed = place(batch)
            if device is not None:
                device.copy_ends()
            self.copy += perf_counter() - began
            return placed

        return timed

    def stepping(self, step: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
        """`step`, with an event behind it on a CUDA device; itself elsewhere."""
        device = self._device
        if device is None:
            return step

        def timed(batch: Any, batch_idx: int) -> Any:
            result = step(batch, batch_idx)
            device.step_ends()
            return result

        return timed

    def breakdown(self) -> dict[str, float]:
        """Seconds of each of PARTS; they add up to the time from `start` to the last batch.

        On a CUDA device `copy` and `compute` are times of the device, and a wait for data counts only as far as the
        device had nothing to do meanwhile. May be called from another thread.
        """
        taken, now_open = dict(self._taken), self._open
        last = self.last
        if now_open is not None:
            last = max(last, perf_counter())
            taken[now_open[0]] += last - now_open[1]
        copy, compute, device = self.copy, self.compute, self._device
        data = max(self.data - copy, 0.0) + taken["data"]
        passed = last - self._began
        if device is not None and device.sampled:
            copy, on_host, compute = device.copy_s(), copy + compute, device.compute_s()
            rest = max(passed - copy - compute - taken["validation"] - taken["save"], 0.0)
            others = max(passed - on_host - data - taken["validation"] - taken["save"], 0.0)
            data = rest * data / (data + others) if data + others > 0 else 0.0
        parts = {"data": data, "copy": copy, "compute": compute, **{p: taken[p] for p in ("validation", "save")}}
        return {**parts, "other": max(passed - sum(parts.values()), 0.0)}


class DeviceTimes:
    """Times of copy and step by CUDA events, recorded in one step of SAMPLE_EVERY and read when they are over."""

    def __init__(self) -> None:
        self.steps = self.sampled = 0
        self._copy_ms = self._compute_ms = 0.0
        self._events: list[Any] = []
        self._pending: deque[list[Any]] = deque()

    def copy_begins(self) -> None:
        self._events = []
        if self.steps % SAMPLE_EVERY == 0:
            self._mark()

    def copy_ends(self) -> None:
        if self._events:
            self._mark()

    def step_ends(self) -> None:
        self.steps += 1
        if len(self._events) != 2:
            return
        self._mark()
        self._pending.append(self._events)
        self._events = []
        while self._pending and self._pending[0][2].query():
            before, between, after = self._pending.popleft()
            self._copy_ms += before.elapsed_time(between)
            self._compute_ms += between.elapsed_time(after)
            self.sampled += 1

    def _mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._events.append(event)

    def copy_s(self) -> float:
        return self._copy_ms / 1e3 / self.sampled * self.steps

    def compute_s(self) -> float:
        return self._compute_ms / 1e3 / self.sampled * self.steps
