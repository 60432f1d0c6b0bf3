"""Log-in pages: the same answer to every wrong guess, few hashes, fresh sessions, nothing used up by a look."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from studio.accounts.invites import create_invite
from studio.accounts.links import make_login_link
from studio.accounts.models import AuditEntry, Membership, Role, User
from tests.access.people import People
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


def log_in(client: Client, username: str, password: str = PASSWORD, **data: str):
    return client.post(reverse("login"), {"username": username, "password": password, **data})


def test_the_right_password_signs_in_and_leads_on(client: Client) -> None:
    make_user("anna")
    response = log_in(client, "anna", next="/account/")
    assert response.status_code == 302
    assert response["Location"] == "/account/"
    assert client.get(reverse("account")).status_code == 200


@pytest.mark.parametrize("after", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "\\\\x"])
def test_the_log_in_leads_nowhere_else(client: Client, after: str) -> None:
    make_user("anna")
    assert log_in(client, "anna", next=after)["Location"] == "/"


def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(client: Client) -> None:
    make_user("anna")
    make_user("gone", is_active=False)
    make_user("linked", password=None)
    texts = set()
    for name in ("anna", "nobody", "gone", "linked"):
        answer = log_in(client, name, "wrong" if name == "anna" else PASSWORD)
        assert answer.status_code == 400
        text = re.sub(r"\b\w{64}\b", "", answer.content.decode())  # CSRF tokens
        texts.add(text.replace(f'value="{name}"', ""))
    assert len(texts) == 1
    assert "not right" in texts.pop()


def test_after_five_tries_no_password_is_hashed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_user("anna")
    hashed = []
    real = User.check_password
    monkeypatch.setattr(User, "check_password", lambda self, raw: hashed.append(raw) or real(self, raw))
    statuses = [log_in(client, "anna", "wrong").status_code for _ in range(20)]
    assert statuses == [400] * 5 + [429] * 15
    assert len(hashed) == 5
    refused = log_in(client, "anna")
    assert refused.status_code == 429
    assert 800 < int(refused["Retry-After"]) <= 900
    assert "Try again in 15 minutes" in refused.content.decode()


def test_tries_leave_a_trace_without_the_password(client: Client) -> None:
    log_in(client, "anna", "my secret guess")
    entry = AuditEntry.objects.get()
    assert entry.action == "login.refused"
    assert entry.detail == {"name": "anna", "address": "127.0.0.1"}


def test_the_session_changes_at_log_in_and_ends_at_log_out(client: Client, settings) -> None:
    make_user("anna")
    session = client.session
    session["cart"] = 1
    session.save()
    before = session.session_key
    log_in(client, "anna")
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert key != before
    client.post(reverse("logout"))
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = key
    assert thief.get(reverse("account")).status_code == 302


def test_looking_at_a_link_does_not_use_it_up(client: Client) -> None:
    url = reverse("login-link", args=[make_login_link()])
    for _ in range(3):
        response = client.get(url)
        assert response.status_code == 200
        assert response["Referrer-Policy"] == "same-origin"
        assert "no-store" in response["Cache-Control"]
    assert not User.objects.exists()
    assert client.post(url)["Location"] == "/"
    assert client.get(reverse("account")).status_code == 200
    assert Client().get(url).status_code == 404
    assert Client().post(url).status_code == 404


def test_an_invitation_makes_an_account_in_the_team(client: Client, people: People) -> None:
    url = reverse("join", args=[create_invite(team=people.team, role=Role.EDITOR, by=people.owner)])
    data = {"username": "newcomer", "password": PASSWORD, "again": PASSWORD}
    for wrong in ({"username": "OWNER"}, {"password": "short", "again": "short"}, {"again": "another-password"}):
        assert client.post(url, data | wrong).status_code == 200
    assert client.post(url, data).status_code == 302
    assert Membership.objects.get(user__username="newcomer").role == "editor"
    assert client.get(reverse("team", args=[people.team.pk])).status_code == 200
    assert Client().post(url, data | {"username": "second"}).status_code == 404
    assert not User.objects.filter(username="second").exists()


def test_what_was_asked_for_comes_after_the_log_in(client: Client) -> None:
    assert client.get("/account/?x=1")["Location"] == "/login/?next=/account/%3Fx%3D1"


def test_a_script_is_told_that_it_is_signed_out(client: Client) -> None:
    for headers in ({"Sec-Fetch-Mode": "cors"}, {"HX-Request": "true"}):
        response = client.get("/account/", headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "signed_out"
