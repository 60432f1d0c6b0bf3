"""A program with a token, as tests of the REST interface send from it."""

from __future__ import annotations

from typing import Any

from django.test import Client

from tests import factories


class Api:
    """A program with a token."""

    def __init__(self, user: Any, scope: str = "write") -> None:
        self.row, self.token = factories.make_token(user, scope=scope)
        self.client = Client(enforce_csrf_checks=True)

    def __call__(self, method: str, path: str, given: Any = None, **headers: str) -> Any:
        every = {"Authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        body = {} if given is None else {"data": given, "content_type": "application/json"}
        return getattr(self.client, method.lower())(f"/api/v1{path}", headers=every, **body)

    def get(self, path: str) -> Any:
        response = self("GET", path)
        assert response.status_code == 200, response.content
        return response.json()


def error_of(response: Any) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) <= {"code", "message", "fields", "received"}
    assert error["message"].endswith((".", "…"))
    return error
