"""StudioLogger: a logger of the engine's Trainer, or of Lightning's, for a script that runs outside of the studio."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from studio.client.external import ExternalRun, init
from trainer_core.loggers.base import DummyExperiment, Logger
from trainer_core.media.record import Media


class StudioLogger(Logger):
    """Logs to a run of `project`; `options` are those of `studio.client.init`.

    A step is the number of optimizer steps done, from 1, as in runs of the studio. The run begins with the first thing
    that is logged, on rank zero alone, and ends with the program, or with `logger.experiment.finish()`.
    """

    takes_tensors = True
    shows_media = True

    def __init__(self, project: str | int | None = None, name: str = "", **options: Any) -> None:
        self._given: dict[str, Any] = {"project": project, "name": name, **options}
        self._run: ExternalRun | None = None

    @property
    def experiment(self) -> ExternalRun | DummyExperiment:
        """The run; on other ranks an object that takes every call and does nothing."""
        if not _is_rank_zero():
            return DummyExperiment()
        if self._run is None:
            self._run = init(**self._given)
        return self._run

    @property
    def name(self) -> str:
        return str(self._given["name"])

    @property
    def version(self) -> str:
        """Name of the folder in which the run is kept."""
        return self._run.folder.name if self._run is not None else ""

    @property
    def save_dir(self) -> str | None:
        return str(Path(self._given.get("folder", "."))) if "folder" in self._given else None

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        values = dict(metrics)
        epoch = values.pop("epoch", 0)
        self.experiment.log(values, (step or 0) + 1, epoch=float(epoch))

    def log_media(self, media: Media, step: int | None = None) -> None:
        self.experiment.log_media(media, step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any) -> None:
        if isinstance(params, Namespace):
            params = vars(params)
        elif is_dataclass(params) and not isinstance(params, type):
            params = asdict(params)
        if params:
            self.experiment.configure(dict(params))

    def finalize(self, status: str) -> None:
        """A fit that failed ends the run; one that succeeded may be followed by a test."""
        if self._run is not None and status in ("failed", "interrupted"):
            self._run.finish("user_error" if status == "failed" else "cancelled", f"The training was {status}.")


def _is_rank_zero() -> bool:
    """By whichever Trainer is in use."""
    from trainer_core import rank

    places = ("lightning.fabric.utilities.rank_zero", "lightning_fabric.utilities.rank_zero")
    others = [getattr(sys.modules[p], "rank_zero_only", None) for p in places if p in sys.modules]
    return rank._rank == 0 and all(getattr(other, "rank", 0) in (0, None) for other in others)
