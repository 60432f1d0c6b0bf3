"""What a profiler offers: named actions with a start and an end, and a summary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer_core.trainer import Trainer


class Profiler:
    """Base class: override `start`, `stop` and `summary`.

    `is_passthrough` lets the loops skip all profiling calls.
    """

    is_passthrough = False

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None) -> None:
        self.dirpath, self.filename = dirpath, filename
        #: Whose run is measured; None when the profiler is used by itself.
        self.trainer: Trainer | None = None
        self._stage: str | None = None
        self._local_rank: int | None = None
        self._log_dir: str | None = None

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        """Called before a stage runs."""
        self._stage, self._local_rank, self._log_dir = stage, local_rank, log_dir

    def start(self, action_name: str) -> None: ...

    def stop(self, action_name: str) -> None: ...

    @contextmanager
    def profile(self, action_name: str) -> Iterator[str]:
        self.start(action_name)
        try:
            yield action_name
        finally:
            self.stop(action_name)

    def summary(self) -> str:
        return ""

    def describe(self) -> None:
        """Write the summary to `<dirpath>/<stage>-<filename>.txt`, or print it when no file is named."""
        text = self.summary()
        if not text or self._local_rank not in (None, 0):
            return
        path = self._path(".txt")
        if self.filename is None or path is None:
            print(text)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _path(self, extension: str, action_name: str | None = None) -> Path | None:
        """`<dirpath or log folder>/<stage>-<filename>-<action><extension>`; None without a folder."""
        folder = self.dirpath or self._log_dir
        parts = [part for part in (self._stage, self.filename, action_name) if part]
        name = re.sub(r"[^\w.\[\]=-]+", "_", "-".join(parts)) or "profile"
        return None if folder is None else Path(folder) / f"{name}{extension}"

    def _title(self) -> str:
        return f"{self._stage.upper()} Profiler Report" if self._stage else "Profiler Report"

    def teardown(self, stage: str | None) -> None: ...


class PassThroughProfiler(Profiler):
    """Measures nothing and costs nothing."""

    is_passthrough = True

    @contextmanager
    def profile(self, action_name: str) -> Iterator[Any]:
        yield action_name
