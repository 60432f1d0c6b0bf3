"""Reports: listed, written, published, and kept as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from studio.client.connection import Connection
from studio.client.projects import Projects
from studio.client.records import Project, Record


@dataclass
class Report(Record):
    """`body` is Markdown with fenced blocks for charts, tables, runs, images and checkpoints."""

    project: int
    title: str
    is_draft: bool
    version: int
    updated_at: str
    body: str | None = field(repr=False)

    _path = "/reports"

    def save(self, body: str, *, title: str | None = None) -> Self:
        """A new version; StudioError with the code "conflict" when somebody else saved one since this was read."""
        given = {"title": title or self.title, "body": body, "version": self.version}
        return self._take(self._connection.send("PUT", f"{self._path}/{self.id}", given))

    def publish(self, *, draft: bool = False) -> Self:
        return self._take(self._connection.send("POST", f"{self._path}/{self.id}/publish", {"draft": draft}))

    def html(self) -> str:
        """One file that opens without a network; print it for a PDF."""
        with self._connection.open("GET", f"{self._path}/{self.id}/html") as response:
            return response.read().decode()


class Reports:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: Project | int | str) -> list[Report]:
        """The newest first, without their texts, which `get` reads."""
        project_id = Projects(self._connection).id_of(project)
        pages = self._connection.pages("/reports", project=project_id, limit=200)
        return [Report.read(self._connection, told) for told in pages]

    def get(self, report: int) -> Report:
        return Report.read(self._connection, self._connection.get(f"/reports/{report}"))

    def create(self, project: Project | int | str, title: str, body: str = "") -> Report:
        """A draft."""
        given = {"project": Projects(self._connection).id_of(project), "title": title, "body": body}
        return Report.read(self._connection, self._connection.create("/reports", given))
