"""Projects: find and make."""

from __future__ import annotations

from studio.client.connection import Connection
from studio.client.errors import StudioError
from studio.client.records import Project


class Projects:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> list[Project]:
        """Those that one sees, the newest first; archived ones are left out."""
        return [Project.read(self._connection, told) for told in self._connection.pages("/projects", limit=200)]

    def get(self, project: int | str) -> Project:
        """By id or by name; StudioError when there is none, or several of that name."""
        if isinstance(project, int):
            return Project.read(self._connection, self._connection.get(f"/projects/{project}"))
        found = [p for p in self.list() if p.name == project]
        if len(found) == 1:
            return found[0]
        known = ", ".join(sorted({p.name for p in self.list()})[:20]) or "none yet"
        text = (
            f"{len(found)} projects are called {project!r}; give the id."
            if found
            else f"There is no project {project!r}. Known are: {known}."
        )
        raise StudioError(text, code="not_found")

    def create(self, name: str, *, team: int | None = None, description: str = "", private: bool = False) -> Project:
        """`team` (an id) may be left out by a member of one team only. A private one names you; name others on its page."""
        given = {"name": name, "team": team, "description": description, "private": private}
        return Project.read(self._connection, self._connection.create("/projects", given))

    def id_of(self, project: Project | int | str) -> int:
        if isinstance(project, Project):
            return project.id
        return project if isinstance(project, int) else self.get(project).id
