"""Which functions the time of each action goes into, by the interpreter's own profiler."""

from __future__ import annotations

import cProfile
import io
import pstats
from pathlib import Path
from typing import Any

from trainer_core.errors import MisconfigurationException
from trainer_core.profilers.base import Profiler


class AdvancedProfiler(Profiler):
    """Records every function call in every action; slows Python code down by a factor of 2 or so.

    The functions inside an action that is started within another count for the inner one alone.
    `line_count_restriction` limits the functions per action: a count, or a share from 0.0 to 1.0. `dump_stats` also
    writes one `.prof` file per action, for `pstats` and its viewers, and needs a folder (MisconfigurationException).
    """

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        line_count_restriction: float = 1.0,
        dump_stats: bool = False,
    ) -> None:
        super().__init__(dirpath, filename)
        self.line_count_restriction, self.dump_stats = line_count_restriction, dump_stats
        self.profiled_actions: dict[str, cProfile.Profile] = {}
        self._running: list[str] = []

    def start(self, action_name: str) -> None:
        """ValueError when the action runs already."""
        if action_name in self._running:
            raise ValueError(f"Attempted to start {action_name} which has already started.")
        if self._running:
            self.profiled_actions[self._running[-1]].disable()
        self._running.append(action_name)
        self.profiled_actions.setdefault(action_name, cProfile.Profile()).enable()

    def stop(self, action_name: str) -> None:
        """ValueError when the action was not started."""
        if action_name not in self._running:
            raise ValueError(f"Attempting to stop recording an action ({action_name}) which was never started.")
        self.profiled_actions[self._running[-1]].disable()
        self._running.remove(action_name)
        if self._running:
            self.profiled_actions[self._running[-1]].enable()

    def summary(self) -> str:
        lines = [self._title()]
        for name, profile in self.profiled_actions.items():
            if self.dump_stats:
                self._dump(name, profile)
            text = io.StringIO()
            statistics = pstats.Stats(profile, stream=text).strip_dirs().sort_stats("cumulative")
            statistics.print_stats(self.line_count_restriction)
            lines += [f"Profile stats for: {name}", text.getvalue()]
        return "\n".join(lines) if self.profiled_actions else ""

    def describe(self) -> None:
        super().describe()
        self.profiled_actions.clear()

    def _dump(self, action_name: str, profile: cProfile.Profile) -> None:
        path = self._path(".prof", action_name)
        if path is None:
            raise MisconfigurationException("dump_stats: got True without a dirpath or a logger, allowed is with one.")
        path.parent.mkdir(parents=True, exist_ok=True)
        profile.dump_stats(path)

    def __getstate__(self) -> dict[str, Any]:
        """What was recorded stays in its process."""
        return {**self.__dict__, "profiled_actions": {}, "_running": []}
