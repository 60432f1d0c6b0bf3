"""The frozen description of a run: model, data, trainer options, seed; hashed, so that same hash = same run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer_core.errors import SpecError
from trainer_core.options import TRAINER_OPTIONS, parse_all

FORMAT = 1
MAX_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A LightningModule class and its arguments.

    `source`: `zoo` (`ref` = class name in trainer_core.zoo), `file` (`ref` = class name in `code`), `project` (`ref` =
    `path.py:Class` among the files in `code`, see `trainer_core.projects`), `package` (`ref` = `pkg.module:Class`).
    """

    source: Literal["zoo", "file", "project", "package"]
    ref: str
    args: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class DataRef:
    """A LightningDataModule class and its arguments; `files` maps argument names to absolute paths.

    `files` is left out of the hash (the same data may lie elsewhere on another machine): `sha256` stands for it. `marks`
    says of files that others may write to what they were: `{"size_bytes", "mtime_ns", "sha256"}` by argument name.
    """

    source: Literal["zoo", "file", "project", "package"]
    ref: str
    args: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    sha256: str = ""
    files: dict[str, str] = field(default_factory=dict)
    marks: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartRef:
    """The checkpoint that a run begins with instead of random weights.

    `weights`: what fits of its weights, for fine-tuning. `all`: weights, optimizer, counters and random streams, so that
    training goes on as if it had never ended. `file` (an absolute path) and `name` (for people) are left out of the hash.
    """

    mode: Literal["weights", "all"]
    sha256: str
    file: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """All that decides a run's result. `extras` holds what the launcher adds around the trainer

    (early stopping, checkpoint policy): see `trainer_core.launch`.
    """

    model: ModelRef
    data: DataRef
    trainer: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    format: int = FORMAT
    start: StartRef | None = None

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise SpecError(f"format {self.format!r} is not known; this version reads format {FORMAT}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed <= MAX_SEED:
            raise SpecError(f"seed: got {self.seed!r}, allowed is a whole number from 0 to {MAX_SEED}.")
        if self.start is not None and self.start.mode not in ("weights", "all"):
            raise SpecError(f"start: got mode {self.start.mode!r}, allowed is 'weights' or 'all'.")
        _, errors = parse_all(TRAINER_OPTIONS, self.trainer)
        if errors:
            raise SpecError("; ".join(errors.values()))

    @property
    def hash(self) -> str:
        """sha256 over everything that decides the result, as 64 hex digits."""
        data = self.to_dict()
        del data["data"]["files"]
        data["data"].pop("marks", None)
        if self.start is not None:
            data["start"] = {"mode": self.start.mode, "sha256": self.start.sha256}
        return hashlib.sha256(canonical_json(data).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `start` and the data's `marks` are left out where there are none."""
        data = asdict(self)
        if not self.data.marks:
            del data["data"]["marks"]
        if self.start is None:
            del data["start"]
        return data

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunSpec:
        """SpecError, naming the part, when a key is missing, unknown or of the wrong type."""
        try:
            parts = dict(data)
            model, dataset = ModelRef(**parts.pop("model")), DataRef(**parts.pop("data"))
            start = parts.pop("start", None)
            parts["start"] = None if start is None else StartRef(**start)
            return cls(model=model, data=dataset, **parts)
        except (TypeError, KeyError) as error:
            raise SpecError(f"The run specification does not fit: {error}.") from error

    @classmethod
    def read(cls, path: str | Path) -> RunSpec:
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SpecError(f"{path} is not a readable run specification: {error}.") from error


def canonical_json(data: Any) -> str:
    """One text for equal data: sorted keys, no spaces, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
