"""Checkpoints, and those that are versions of a registered model."""

from __future__ import annotations

from dataclasses import dataclass

from studio.client.records import Record, Values
from studio.client.using import Usable


@dataclass
class Checkpoint(Usable, Record):
    run: int
    step: int
    epoch: float
    size_bytes: int
    metrics: Values
    score: float | None
    is_best: bool
    created_at: str

    @property
    def _checkpoint_id(self) -> int:
        return self.id


@dataclass
class RegisteredVersion(Usable, Record):
    """A checkpoint under the name and number of a registered model; `aliases` name it at present, those that are `asked`
    will once somebody else has approved."""

    model: int
    name: str
    number: int
    aliases: list[str]
    asked: list[str]
    note: str
    run: int
    checkpoint: int
    step: int
    metrics: Values
    size_bytes: int
    sha256: str
    dataset_version: int | None
    created_by: str | None
    created_at: str

    _path = "/registered-versions"

    @property
    def _checkpoint_id(self) -> int:
        return self.checkpoint

    def move_alias(self, alias: str, *, why: str = "", reviewer: str = "") -> bool:
        """The alias names this version; False when it waits until somebody else approves: it is protected, or a
        `reviewer` (a user name) was named."""
        given = {"alias": alias, "why": why, "reviewer": reviewer}
        moved = self._connection.send("POST", f"{self._path}/{self.id}/aliases", given)
        self.refresh()
        return bool(moved["stage"] == "done")

    def delete(self) -> None:
        """Its number is not used again; refused while an alias names it. The checkpoint stays as long as its run keeps it."""
        self._connection.send("DELETE", f"{self._path}/{self.id}", {})
