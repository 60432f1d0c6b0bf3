"""Links with which people without an account read one thing: made, listed, taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from studio.client.checkpoints import Checkpoint
from studio.client.connection import Connection
from studio.client.projects import Projects
from studio.client.records import Project, Record
from studio.client.reports import Report
from studio.client.runs import Run


@dataclass
class ShareLink(Record):
    """`url` (and `embed_url`, for a frame) is known to who made the link, and to nobody afterwards: keep it."""

    project: int
    kind: str
    title: str
    frozen: bool
    parts: list[str]
    password: bool
    embed_on: list[str]
    is_open: bool
    views: int
    expires_at: str
    url: str | None = field(repr=False)
    embed_url: str | None = field(repr=False)

    _path = "/share-links"

    def revoke(self) -> Self:
        """It opens nothing any more."""
        return self._keep(self._connection.post(f"{self._path}/{self.id}/revoke"))

    def refresh(self) -> Self:
        return self._keep(self._connection.get(f"{self._path}/{self.id}"))

    def _keep(self, told: dict[str, Any]) -> Self:
        return self._take({**told, "url": self.url, "embed_url": self.embed_url})


class ShareLinks:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: Project | int | str | None = None, *, open: bool = False) -> list[ShareLink]:
        """The newest first; with `open`, without those that expired or were taken back."""
        chosen: dict[str, Any] = {"limit": 200, "open": str(open).lower()}
        if project is not None:
            chosen["project"] = Projects(self._connection).id_of(project)
        return [ShareLink.read(self._connection, told) for told in self._connection.pages("/share-links", **chosen)]

    def create(
        self,
        thing: Run | Checkpoint | Report | Sequence[Run],
        *,
        title: str = "",
        days: int = 14,
        password: str = "",
        frozen: bool = False,
        parts: Sequence[str] = (),
        embed_on: Sequence[str] = (),
    ) -> ShareLink:
        """To a run, a checkpoint, a report, or several runs that are compared; its `url` is told this once.

        `parts` are of config, logs, files and author. Sites in `embed_on`, as https://wiki.example, may show it in a frame.
        """
        given = {
            **_named(thing),
            "title": title,
            "days": days,
            "password": password,
            "frozen": frozen,
            "parts": list(parts),
            "embed_on": list(embed_on),
        }
        return ShareLink.read(self._connection, self._connection.send("POST", "/share-links", given))


def _named(thing: Any) -> dict[str, Any]:
    for kind, name in ((Run, "run"), (Checkpoint, "checkpoint"), (Report, "report")):
        if isinstance(thing, kind):
            return {name: thing.id}
    return {"runs": [run.id for run in thing]}
