"""The way in: an address and a token."""

from __future__ import annotations

from typing import Any

from studio.client.account import default_token
from studio.client.connection import Connection
from studio.client.datasets import Datasets
from studio.client.links import ShareLinks
from studio.client.models import Models
from studio.client.presets import Presets
from studio.client.projects import Projects
from studio.client.registered import RegisteredModels
from studio.client.reports import Reports
from studio.client.runs import Runs


class Client:
    """One studio, as the person whose token it is. Make a token on your account page.

    Without `token`, STUDIO_TOKEN is it. `timeout_s` is how long one answer may take.
    """

    def __init__(self, url: str, token: str = "", *, timeout_s: float = 30.0) -> None:
        self._connection = Connection(url, token or default_token(), timeout_s=timeout_s)
        self.projects = Projects(self._connection)
        self.models = Models(self._connection)
        self.datasets = Datasets(self._connection)
        self.runs = Runs(self._connection)
        self.registered = RegisteredModels(self._connection)
        self.presets = Presets(self._connection)
        self.reports = Reports(self._connection)
        self.links = ShareLinks(self._connection)

    def __repr__(self) -> str:
        return f"Client({self._connection.url.removesuffix('/api/v1')!r})"

    def me(self) -> dict[str, Any]:
        """The account, its teams and the token's scope."""
        told: dict[str, Any] = self._connection.get("/me")
        return told

    def workers(self) -> list[dict[str, Any]]:
        return list(self._connection.pages("/workers"))
