"""Registered models: promote a checkpoint, find a version by `name@alias`, move aliases, fetch it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.client.connection import Connection
from studio.client.download import download
from studio.client.projects import Projects
from studio.client.records import Checkpoint, Project, RegisteredVersion


class RegisteredModels:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: Project | int | str) -> list[dict[str, Any]]:
        """Name, aliases and newest version of each."""
        project_id = Projects(self._connection).id_of(project)
        return list(self._connection.pages("/registered-models", project=project_id, limit=200))

    def get(self, reference: str, *, project: Project | int | str) -> RegisteredVersion:
        """The version that `name@alias`, `name@v3`, or `name` (the newest) means."""
        project_id = Projects(self._connection).id_of(project)
        told = self._connection.get("/registered-versions", project=project_id, reference=reference)
        return RegisteredVersion.read(self._connection, told)

    def promote(
        self, checkpoint: Checkpoint | int, name: str, *, alias: str = "", note: str = "", why: str = ""
    ) -> RegisteredVersion:
        """The checkpoint as the next version of `name`; one that is a version of it already stays that."""
        key = checkpoint.id if isinstance(checkpoint, Checkpoint) else checkpoint
        given = {"name": name, "alias": alias, "note": note, "why": why}
        told = self._connection.send("POST", f"/checkpoints/{key}/promote", given)
        return RegisteredVersion.read(self._connection, told)

    def roll_back(self, name: str, alias: str, *, project: Project | int | str, why: str = "") -> RegisteredVersion:
        """The alias names the version again that it named before; what it names then is returned."""
        version = self.get(f"{name}@{alias}", project=project)
        given = {"alias": alias, "why": why}
        self._connection.send("POST", f"/registered-models/{version.model}/roll-back", given)
        return self.get(f"{name}@{alias}", project=project)

    def download(self, reference: str, *, project: Project | int | str, path: str | Path = ".") -> Path:
        """The checkpoint's file, verified; `trainer_core.saved.load_model` makes the model of it. `path` may be a folder."""
        version = self.get(reference, project=project)
        return download(self._connection, f"/checkpoints/{version.checkpoint}/download", Path(path))
