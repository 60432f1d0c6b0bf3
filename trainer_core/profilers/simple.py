"""Wall time of every action: mean, number of calls, sum and share of the whole."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from trainer_core.profilers.base import Profiler


class SimpleProfiler(Profiler):
    """Records the duration of actions; `extended` adds calls and shares to the report."""

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None, extended: bool = True) -> None:
        super().__init__(dirpath, filename)
        self.extended = extended
        self.current_actions: dict[str, float] = {}
        self.recorded_durations: dict[str, list[float]] = defaultdict(list)
        self.start_time = time.monotonic()

    def start(self, action_name: str) -> None:
        """ValueError when the action runs already."""
        if action_name in self.current_actions:
            raise ValueError(f"Attempted to start {action_name} which has already started.")
        self.current_actions[action_name] = time.monotonic()

    def stop(self, action_name: str) -> None:
        """ValueError when the action was not started."""
        end = time.monotonic()
        if action_name not in self.current_actions:
            raise ValueError(f"Attempting to stop recording an action ({action_name}) which was never started.")
        self.recorded_durations[action_name].append(end - self.current_actions.pop(action_name))

    def summary(self) -> str:
        total = time.monotonic() - self.start_time
        rows = sorted(
            ((name, len(d), sum(d)) for name, d in self.recorded_durations.items()), key=lambda r: r[2], reverse=True
        )
        width = max([len(name) for name, _, _ in rows], default=6)
        lines = [f"Profiler Report: {total:.4g} s"]
        if self.extended:
            lines.append(f"{'Action'.ljust(width)}  {'Mean (s)':>12}  {'Calls':>9}  {'Total (s)':>12}  {'Share %':>8}")
            lines += [
                f"{n.ljust(width)}  {s / c:>12.5g}  {c:>9}  {s:>12.5g}  {100 * s / total:>8.3g}" for n, c, s in rows
            ]
        else:
            lines.append(f"{'Action'.ljust(width)}  {'Mean (s)':>12}  {'Total (s)':>12}")
            lines += [f"{n.ljust(width)}  {s / c:>12.5g}  {s:>12.5g}" for n, c, s in rows]
        return "\n".join(lines) + "\n"
