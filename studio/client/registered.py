"""Registered models: promote a checkpoint, find a version by `name@alias`, move aliases, fetch it."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from studio.client.checkpoints import Checkpoint, RegisteredVersion
from studio.client.connection import Connection
from studio.client.errors import StudioError
from studio.client.projects import Projects
from studio.client.records import Project, Record


@dataclass
class AliasMove(Record):
    """One line of an alias's history. `before` and `version` are numbers of versions; `stage` is done, declined, or waiting
    for the approval of the `reviewer`, or of somebody else where none was named."""

    model: int
    alias: str
    before: int | None
    version: int | None
    stage: str
    is_rollback: bool
    why: str
    by: str | None
    reviewer: str | None
    decided_by: str | None
    at: str

    def approve(self) -> Self:
        """Carry it out. Who asked for it cannot."""
        return self._take(self._connection.create(f"/alias-moves/{self.id}/approve", {}))

    def decline(self) -> Self:
        """Leave the alias where it is; who asked for it takes it back so."""
        return self._take(self._connection.create(f"/alias-moves/{self.id}/decline", {}))


class RegisteredModels:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: Project | int | str) -> list[dict[str, Any]]:
        """Id, name and aliases of each."""
        project_id = Projects(self._connection).id_of(project)
        return [*self._connection.pages("/registered-models", project=project_id, limit=200)]

    def versions(self, name: str, *, project: Project | int | str) -> builtins.list[RegisteredVersion]:
        """The newest first."""
        pages = self._connection.pages(f"/registered-models/{self._id_of(name, project)}/versions", limit=200)
        return [RegisteredVersion.read(self._connection, told) for told in pages]

    def get(self, reference: str, *, project: Project | int | str) -> RegisteredVersion:
        """The version that `name@alias`, `name@v3`, or `name` (the newest) means."""
        project_id = Projects(self._connection).id_of(project)
        told = self._connection.get("/registered-versions", project=project_id, reference=reference)
        return RegisteredVersion.read(self._connection, told)

    def promote(
        self,
        checkpoint: Checkpoint | int,
        name: str,
        *,
        alias: str = "",
        note: str = "",
        why: str = "",
        reviewer: str = "",
    ) -> RegisteredVersion:
        """The checkpoint as the next version of `name`; one that is a version of it already stays that.

        With a `reviewer`, the user name of an editor, the alias is only `asked` until that person has approved it.
        """
        key = checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint
        given = {"name": name, "alias": alias, "note": note, "why": why, "reviewer": reviewer}
        told = self._connection.send("POST", f"/checkpoints/{key}/promote", given)
        return RegisteredVersion.read(self._connection, told)

    def roll_back(self, name: str, alias: str, *, project: Project | int | str, why: str = "") -> RegisteredVersion:
        """The alias names the version again that it named before; what it names then is returned. A protected one waits."""
        key = self._id_of(name, project)
        self._connection.create(f"/registered-models/{key}/roll-back", {"alias": alias, "why": why})
        return self.get(f"{name}@{alias}", project=project)

    def remove_alias(self, name: str, alias: str, *, project: Project | int | str) -> AliasMove:
        """It names nothing any more; refused while it is protected."""
        address = f"/registered-models/{self._id_of(name, project)}/aliases/{quote(alias, safe='')}"
        return AliasMove.read(self._connection, self._connection.create(address, {}, method="DELETE"))

    def protect(self, name: str, alias: str, *, project: Project | int | str, on: bool = True) -> None:
        """Moving it then needs two people; for administrators of the team."""
        key = self._id_of(name, project)
        self._connection.send("POST", f"/registered-models/{key}/protect", {"alias": alias, "on": on})

    def moves(
        self,
        name: str,
        *,
        project: Project | int | str,
        stage: Literal["waiting", "done", "declined"] | None = None,
    ) -> builtins.list[AliasMove]:
        """The history of its aliases, the newest first; those that are `waiting` can be approved or declined."""
        pages = self._connection.pages(f"/registered-models/{self._id_of(name, project)}/moves", stage=stage, limit=200)
        return [AliasMove.read(self._connection, told) for told in pages]

    def download(self, reference: str, *, project: Project | int | str, path: str | Path = ".") -> Path:
        """The checkpoint's file, verified; `trainer_core.saved.load_model` makes the model of it. `path` may be a folder."""
        return self.get(reference, project=project).download(path)

    def _id_of(self, name: str, project: Project | int | str) -> int:
        project_id = Projects(self._connection).id_of(project)
        for told in self._connection.pages("/registered-models", project=project_id, name=name):
            return int(told["id"])
        raise StudioError(f"There is no registered model {name!r} in this project.", status=404, code="not_found")
