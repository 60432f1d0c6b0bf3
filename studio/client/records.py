"""What the studio told about its objects; fields that this version does not know are left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from studio.client.connection import Connection
from studio.client.errors import StudioError, WaitedTooLong

FIRST_PAUSE_S, MOST_PAUSE_S = 0.2, 3.0
Values = dict[str, Any]


@dataclass
class Record:
    """An object as it was when it was last read; `refresh` reads it again, in place."""

    _connection: Connection = field(repr=False, compare=False)
    id: int

    _path = ""

    @classmethod
    def read(cls, connection: Connection, told: Mapping[str, Any]) -> Self:
        values: dict[str, Any] = {name: told.get(name) for name in cls._names()}
        return cls(connection, **values)

    @classmethod
    def _names(cls) -> list[str]:
        return [f.name for f in fields(cls) if not f.name.startswith("_")]

    def _take(self, told: Mapping[str, Any]) -> Self:
        for name in self._names():
            setattr(self, name, told.get(name))
        return self

    def refresh(self) -> Self:
        return self._take(self._connection.get(f"{self._path}/{self.id}"))

    def _wait(self, done: Callable[[], bool], timeout_s: float | None, what: str) -> Self:
        """Read it again until `done`, ever less often; WaitedTooLong after `timeout_s` (None: never)."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = FIRST_PAUSE_S
        while not done():
            left_s = MOST_PAUSE_S if end is None else end - time.monotonic()
            if left_s <= 0:
                raise WaitedTooLong(f"{what} was not done after {timeout_s:g} s. It goes on; wait again if you like.")
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.3, MOST_PAUSE_S)
            self.refresh()
        return self


@dataclass
class Project(Record):
    name: str
    team: str
    description: str
    private: bool

    _path = "/projects"


@dataclass
class Version(Record):
    """`params` are the options of its __init__: name, kind, default, bounds, help."""

    name: str
    number: int
    state: str
    reason: str
    sha256: str
    params: list[Values] = field(repr=False)
    info: Values = field(repr=False)

    def wait(self, timeout_s: float | None = 120.0) -> Self:
        """Until a worker has looked at it; StudioError with the reason when it was rejected or a choice is missing."""
        self._wait(lambda: self.state != "inspecting", timeout_s, f"The inspection of {self.name}")
        if self.state != "ready":
            raise StudioError(f"{self.name} v{self.number} is {self.state}: {self._why()}", code=self.state)
        return self

    def _why(self) -> str:
        if self.state == "choosing":
            return "A choice is missing, such as the target: make it on the page of the version."
        line = f" (line {self.info['line']})" if self.info.get("line") else ""
        return f"{self.reason}{line} {self.info.get('hint') or ''}".strip()


@dataclass
class ModelVersion(Version):
    model: int

    _path = "/model-versions"


@dataclass
class DatasetVersion(Version):
    dataset: int
    size_bytes: int
    columns: Values = field(repr=False)

    _path = "/dataset-versions"


@dataclass(frozen=True)
class Series:
    """One metric of a run, in order; NaN and infinities are values like any other."""

    name: str
    steps: list[float]
    values: list[float]

    def __len__(self) -> int:
        return len(self.steps)
