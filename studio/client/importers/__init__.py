"""Runs of other trackers, read where they lie and brought into the studio with all their points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from studio.client.importers.found import Found

KINDS = {
    "tensorboard": "a folder of event files (needs the package tensorboard)",
    "mlflow": "an mlruns folder, or the SQLite file of a tracking server",
    "wandb": "a wandb folder, an offline-run folder, or a .wandb file (needs the package wandb)",
    "csv": "a file with a column step, or with the columns step, metric, value",
}


def find(kind: str, path: Path) -> Iterator[Found]:
    """The runs at `path`; ValueError when there are none, ImportError naming the package that is missing."""
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    look: Callable[[Path], Iterator[Found]] = import_module(f"studio.client.importers.of_{kind}").find
    count = 0
    for count, found in enumerate(look(path), 1):  # noqa: B007
        yield found
    if not count:
        raise ValueError(f"{path} holds no runs; {kind} is {KINDS[kind]}.")
