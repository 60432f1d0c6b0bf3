"""Models: find, and make from code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.client.connection import Connection
from studio.client.errors import StudioError
from studio.client.projects import Projects
from studio.client.records import ModelVersion, Project


class Models:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: Project | int | str | None = None) -> list[dict[str, Any]]:
        """What the studio tells of each model; with `project`, of those that its runs can use."""
        project_id = None if project is None else Projects(self._connection).id_of(project)
        return list(self._connection.pages("/models", project=project_id, limit=200))

    def create(
        self, name: str, code: str | Path, *, project: Project | int | str, class_name: str = "", note: str = ""
    ) -> ModelVersion:
        """A new version from Python code, or from the file at a Path. `wait()` for it before it is used."""
        filename = code.name if isinstance(code, Path) else ""
        given = {
            "project": Projects(self._connection).id_of(project),
            "name": name,
            "code": code.read_text(encoding="utf-8") if isinstance(code, Path) else code,
            "class_name": class_name,
            "filename": filename,
            "note": note,
        }
        return ModelVersion.read(self._connection, self._connection.create("/models", given))

    def version(self, id: int) -> ModelVersion:
        return ModelVersion.read(self._connection, self._connection.get(f"/model-versions/{id}"))

    def version_id_of(self, model: ModelVersion | int | str, project_id: int) -> int:
        if isinstance(model, ModelVersion):
            return model.id
        return model if isinstance(model, int) else newest_ready(self._connection, "models", model, project_id)


def newest_ready(connection: Connection, kind: str, name: str, project_id: int) -> int:
    """Id of the newest ready version of the entry of that name; the project's own goes before a built-in one."""
    found = connection.get(f"/{kind}", project=project_id, name=name)["items"]
    for entry in sorted(found, key=lambda entry: entry["project"] is None):
        for version in connection.pages(f"/{kind}/{entry['id']}/versions"):
            if version["state"] == "ready":
                return int(version["id"])
    noun = kind.removesuffix("s")
    if found:
        raise StudioError(f"The {noun} {name!r} has no version that is ready.", code="not_ready")
    known = ", ".join(entry["name"] for entry in connection.get(f"/{kind}", project=project_id, limit=50)["items"])
    raise StudioError(f"There is no {noun} {name!r}. Known are: {known or 'none yet'}.", code="not_found")
