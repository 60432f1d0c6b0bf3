"""Runs: start, find, watch, stop, and fetch what they made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

from studio.client.checkpoints import Checkpoint
from studio.client.connection import Connection
from studio.client.datasets import Datasets
from studio.client.errors import StudioError
from studio.client.models import Models
from studio.client.presets import Preset, Presets
from studio.client.projects import Projects
from studio.client.records import DatasetVersion, ModelVersion, Project, Record, Series, Values


class Queueing(TypedDict, total=False):
    """When and where a run starts. Times are text: `start_after` 2h30min from now, or a moment; `max_runtime` 12h."""

    pool: str | None
    priority: int | None
    start_after: str | None
    gpus: int | None
    labels: list[str] | None
    max_runtime: str | None


@dataclass(frozen=True)
class Place:
    """`place` 1 is next in its pool; `why` says what it waits for; `starts_in_s` is an estimate."""

    place: int | None
    why: str | None
    starts_in_s: float | None


MOST_POINTS = 50_000
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Run(Record):
    """`state` is queued, starting, running, pausing, paused, cancelling, succeeded, failed or cancelled."""

    number: int
    name: str
    state: str
    outcome: str
    reason: str
    project: int
    source: str
    model_version: int | None
    dataset_version: int | None
    parent: int | None
    created_by: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    url: str
    progress: Values = field(repr=False)
    summary: Values = field(repr=False)

    _path = "/runs"

    @property
    def is_ended(self) -> bool:
        return self.state in ENDED

    def wait(self, timeout_s: float | None = None) -> Self:
        """Until it has ended, well or not; WaitedTooLong when that takes longer than `timeout_s`."""
        return self._wait(lambda: self.is_ended, timeout_s, f"Run {self.number}")

    def cancel(self) -> Self:
        """A waiting run ends at once; a running one finishes its step and saves a checkpoint first."""
        return self._take(self._connection.post(f"/runs/{self.id}/cancel"))

    def save(self) -> Self:
        """While it trains: a checkpoint after the current step, which is kept. It appears under `checkpoints` shortly after."""
        return self._take(self._connection.post(f"/runs/{self.id}/save"))

    def pause(self) -> Self:
        """It finishes its step, saves a checkpoint, and gives the machine free until `resume`."""
        return self._take(self._connection.post(f"/runs/{self.id}/pause"))

    def resume(self) -> Self:
        """A paused, failed or cancelled run goes back to the queue and on from its newest checkpoint."""
        return self._take(self._connection.post(f"/runs/{self.id}/resume"))

    def place(self) -> Place:
        """Where it stands in the queue, why it waits, and about when it starts; all None when it does not wait."""
        return Place(**self._connection.get(f"/runs/{self.id}/queue"))

    def move(self, where: str = "", *, before: Run | int | None = None) -> Place:
        """Another place among the waiting runs that one may edit: `first`, `up`, `down`, `last`, or before one of them."""
        key = before.id if isinstance(before, Run) else before
        return Place(**self._connection.send("POST", f"/runs/{self.id}/move", {"where": where or None, "before": key}))

    def change(self, *, free: bool = False, **queueing: Unpack[Queueing]) -> Place:
        """Another priority, pool, time or need while it waits; `free` lets it start without what it comes after."""
        return Place(**self._connection.send("PATCH", f"/runs/{self.id}/queue", {"free": free, **queueing}))

    def series(self, metric: str) -> Series:
        """All points of a metric of the surviving attempts."""
        steps: list[float] = []
        values: list[float] = []
        skip: int | None = 0
        while skip is not None:
            told = self._connection.get(f"/runs/{self.id}/points", metric=metric, skip=skip, limit=MOST_POINTS)
            steps += told["steps"]
            values += [float(value) for value in told["values"]]
            skip = told["next"]
        return Series(metric, steps, values)

    def download_metrics(self, path: str | Path) -> Path:
        """All points as a file; its ending says how: .csv, .jsonl or .parquet."""
        form = Path(path).suffix.removeprefix(".")
        return self._fetch(f"/runs/{self.id}/metrics/{form}", path)

    def download_folder(self, path: str | Path, *, data: bool = True, weights: bool = True) -> Path:
        """A zip that trains the run again without the studio: unzip it and run `python3 reproduce.py` in it.

        Without `data` or `weights` these are left out.
        """
        return self._fetch(f"/runs/{self.id}/folder", path, {"data": data, "weights": weights})

    def _fetch(self, address: str, path: str | Path, query: dict[str, Any] | None = None) -> Path:
        """What is made while it is sent; the file is there when it is whole."""
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        with self._connection.open("GET", address, query=query or {}) as response, open(part, "wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
        part.replace(target)
        return target

    def reproduce(self) -> Run:
        """The same again with everything pinned; when it has finished, its `reproduction` says whether it is the same."""
        return Run.read(self._connection, self._connection.create(f"/runs/{self.id}/rerun", {}))

    def reproduction(self) -> Values:
        """Of a run that repeats one: `verdict` equal or differs, then with what `differs`, by layer."""
        return self._connection.get(f"/runs/{self.id}/reproduction")

    def results(self) -> Values:
        """What its best checkpoint gets right and wrong: `task`, `data`, and `reason` where there are none."""
        return self._connection.get(f"/runs/{self.id}/results")

    def system(self, attempt: int | None = None) -> Values:
        """What its newest attempt, or the given one, and the machine took: `charts` over the seconds of the attempt."""
        return self._connection.get(f"/runs/{self.id}/system", attempt=attempt)

    def log(self, attempt: int | None = None) -> str:
        """What it printed, in its newest attempt or the given one."""
        with self._connection.open("GET", f"/runs/{self.id}/log/text", query={"attempt": attempt}) as response:
            return response.read().decode("utf-8", "replace")

    def checkpoints(self) -> list[Checkpoint]:
        """The newest first."""
        pages = self._connection.pages(f"/runs/{self.id}/checkpoints")
        return [Checkpoint.read(self._connection, told) for told in pages]

    def best(self) -> Checkpoint:
        """The best checkpoint, or the newest where none is best; StudioError when there is none."""
        found = self.checkpoints()
        if not found:
            raise StudioError(f"Run {self.number} has no checkpoint.", code="not_found")
        return next((c for c in found if c.is_best), found[0])

    def download_checkpoint(self, path: str | Path, *, checkpoint: Checkpoint | None = None) -> Path:
        """The best checkpoint, or the newest where none is best, or the given one, as a file that was verified.

        A download that was interrupted goes on where it stopped. `path` may be a folder.
        """
        return (checkpoint or self.best()).download(path)


class Runs:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        *,
        project: Project | int | str,
        model: ModelVersion | int | str,
        dataset: DatasetVersion | int | str,
        name: str = "",
        trainer: Values | None = None,
        model_args: Values | None = None,
        data_args: Values | None = None,
        extras: Values | None = None,
        seed: int | None = None,
        parent: Run | int | None = None,
        note: str = "",
        start: Checkpoint | int | None = None,
        start_mode: str = "weights",
        after: Run | int | None = None,
        after_checkpoint: str | None = None,
        preset: Preset | int | str | None = None,
        **queueing: Unpack[Queueing],
    ) -> Run:
        """Queue a run. `start` is a checkpoint that it begins with: its "weights", to fine-tune, or "all" of it, to train
        further exactly. A model or dataset may be a version, its id, or a name: then its newest ready version is taken.
        `after` is a run that has to succeed first, and `after_checkpoint`, "best" or "last", which checkpoint of it this one
        begins with; `extras={"stage": "test"}` (validate, predict) then measures it and trains nothing. `queueing` says
        when and where it starts. What is not given here is taken from `preset`.

        StudioError, with `fields`, says what does not fit; then nothing is queued.
        """
        project_id = Projects(self._connection).id_of(project)
        given = {
            "project": project_id,
            "model_version": Models(self._connection).version_id_of(model, project_id),
            "dataset_version": Datasets(self._connection).version_id_of(dataset, project_id),
            "name": name,
            "trainer": trainer or {},
            "model_args": model_args or {},
            "data_args": data_args or {},
            "extras": extras or {},
            "seed": seed,
            "parent": parent.id if isinstance(parent, Run) else parent,
            "note": note,
            "start": start.id if isinstance(start, Checkpoint) else start,
            "start_mode": start_mode,
            "after": after.id if isinstance(after, Run) else after,
            "after_checkpoint": after_checkpoint,
            "preset": None if preset is None else Presets(self._connection).get(preset).id,
            **queueing,
        }
        return Run.read(self._connection, self._connection.create("/runs", given))

    def get(self, id: int) -> Run:
        return Run.read(self._connection, self._connection.get(f"/runs/{id}"))

    def list(
        self,
        *,
        project: Project | int | str | None = None,
        state: str | Sequence[str] | None = None,
        name: str | None = None,
        most: int | None = None,
    ) -> list[Run]:
        """The newest first, at most `most`."""
        project_id = None if project is None else Projects(self._connection).id_of(project)
        pages = self._connection.pages("/runs", project=project_id, state=state, name=name, limit=min(most or 200, 200))
        return [Run.read(self._connection, told) for told in islice(pages, most)]
