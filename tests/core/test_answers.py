"""What every answer carries, and what is refused before anything reads it."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from tests.access.people import People

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("size", [str(settings.MAX_BODY_BYTES + 1), "many", "9" * 30])
def test_a_body_that_is_too_large_is_refused_unread(client: Client, size: str) -> None:
    response = client.generic("POST", "/login/", b"x", CONTENT_LENGTH=size)
    assert response.status_code == 413
    assert "chunks" in response.json()["error"]["message"]


def test_pages_tell_errors_in_words_and_programs_in_json(people: People) -> None:
    client = people.client("viewer")
    page = client.get("/teams/999999/")
    assert page.status_code == 404
    assert "not shared with you" in page.content.decode()
    assert client.get("/api/v1/runs/999999").json()["error"]["code"] == "not_found"


def test_a_form_that_is_stale_is_told_what_to_do(people: People) -> None:
    response = people.client("viewer", enforce_csrf_checks=True).post("/account/theme/", {"theme": "dark"})
    assert response.status_code == 403
    assert "Reload it" in response.content.decode()


def test_a_fault_shows_no_trace(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("studio.accounts.views.account._usable_tokens", fail)
    response = people.client("viewer", raise_request_exception=False).get("/account/")
    assert response.status_code == 500
    assert b"secret" not in response.content
    assert b"Nothing was lost" in response.content


def test_every_answer_has_the_protecting_headers(people: People) -> None:
    for path in ("/", "/login/", "/api/v1/me", "/api/v1/docs", "/nowhere"):
        headers = people.client("viewer").get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "testserver@evil.example"])
def test_another_host_name_is_refused(client: Client, host: str) -> None:
    assert client.get("/login/", headers={"Host": host}).status_code == 400
