"""Invitations: by e-mail or by link, for a time, once, and without telling who has an account."""

from __future__ import annotations

import re
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from studio.accounts import invites
from studio.accounts.errors import InviteError
from studio.accounts.models import AuditEntry, Invite, Membership, Team, User
from tests.access.people import People
from tests.factories import PASSWORD, make_member, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_server")]  # which counts e-mails
MAIL = "new@people.example"


def invite(people: People, person: str = "owner", **given: Any) -> Any:
    url = reverse("invite-create", args=[people.team.pk])
    return people.client(person).post(url, {"role": "editor", "days": "7", **given})


def link_in(text: str) -> str:
    found = re.search(r"/join/[\w-]{43}/", text)
    assert found, text[:500]
    return found[0]


@pytest.fixture
def mails(settings: Any) -> list[Any]:
    settings.EMAIL_HOST = "mail.example"
    return mail.outbox


def test_an_invitation_is_sent_and_makes_an_account_with_its_address(people: People, mails: list[Any]) -> None:
    response = invite(people, email=MAIL)
    (sent,) = mails
    assert sent.to == [MAIL] and "Crew" in sent.subject and "as editor" in sent.body
    link = link_in(sent.body)
    assert link in response.content.decode() and f"It was sent to {MAIL}" in response.content.decode()
    data = {"username": "newcomer", "password": PASSWORD, "again": PASSWORD}
    assert Client().post(link, data).status_code == 302
    made = User.objects.get(username="newcomer")
    assert made.email == MAIL and Membership.objects.get(user=made).role == "editor"
    assert Client().get(link).status_code == 404


@pytest.mark.parametrize("end", ["leaves", "is an editor", "is shut out"])
def test_nobody_comes_back_by_an_invitation_that_they_made_before(people: People, end: str) -> None:
    """Whoever makes one may be put out of the team, and must not be its administrator again a minute later."""
    link = link_in(invite(people, role="admin").content.decode())
    make_member(people.team, role="admin")
    if end == "leaves":
        Membership.objects.filter(user=people.owner).delete()
    elif end == "is an editor":
        Membership.objects.filter(user=people.owner).update(role="editor")
    else:
        User.objects.filter(pk=people.owner.pk).update(is_active=False)
    assert Client().get(link).status_code == 404
    for person in ("owner", "stranger", "anonymous"):
        data = {"username": "newcomer", "password": PASSWORD, "again": PASSWORD}
        assert people.client(person).post(link, data).status_code in (302, 404)
    assert not Membership.objects.filter(team=people.team, user__username__in=["newcomer", "stranger"]).exists()
    if end != "is shut out":
        assert not Membership.objects.filter(team=people.team, user=people.owner, role="admin").exists()
    with pytest.raises(InviteError):
        invites.accept_invite(token=link.split("/")[2], user=people.stranger)


def test_somebody_with_an_account_joins_by_the_same_e_mail(people: People, mails: list[Any]) -> None:
    User.objects.filter(pk=people.stranger.pk).update(email=MAIL)
    invite(people, email=MAIL)
    link = link_in(mails[0].body)
    assert people.client("stranger").post(link).status_code == 302
    assert Membership.objects.get(user=people.stranger, team=people.team).role == "editor"


def test_an_address_with_an_account_gets_the_same_answer_and_the_same_words(people: People, mails: list[Any]) -> None:
    User.objects.filter(pk=people.stranger.pk).update(email="known@people.example")
    pages, texts = [], []
    for address in ("known@people.example", "other@people.example"):
        page = invite(people, email=address).content.decode()
        Invite.objects.all().delete()
        pages.append(re.sub(r"[\w-]{43,64}|\d", "", page.replace(address, "")))
        texts.append(re.sub(r"[\w-]{43}", "", mails.pop().body))
    assert pages[0] == pages[1] and texts[0] == texts[1]


def test_without_mail_settings_the_link_is_shown_and_no_address_is_asked_for(people: People) -> None:
    response = invite(people)
    assert link_in(response.content.decode()) and "Give this link to one person" in response.content.decode()
    page = people.client("owner").get(reverse("team", args=[people.team.pk])).content.decode()
    assert 'name="email"' not in page and "you give the link yourself" in page


def test_a_link_that_could_not_be_sent_can_be_given(people: People, settings: Any) -> None:
    with socket.socket() as closed:  # its port answers nobody
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", closed.getsockname()[1]
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        text = invite(people, email=MAIL).content.decode()
    assert "could not be sent" in text and "It was sent" not in text
    assert Client().get(link_in(text)).status_code == 200


def test_a_name_with_line_breaks_adds_nothing_to_the_head_of_the_e_mail(people: People, mails: list[Any]) -> None:
    Team.objects.filter(pk=people.team.pk).update(name="Crew\r\nBcc: all@people.example")
    invite(people, email=MAIL)
    assert mails[0].subject == "Join the team Crew Bcc: all@people.example" and mails[0].bcc == []


@pytest.mark.parametrize("wrong", [{"days": "400"}, {"days": "x"}, {"role": "owner"}, {"email": "no address"}])
def test_odd_choices_are_refused(people: People, mails: list[Any], wrong: dict[str, str]) -> None:
    assert invite(people, **wrong).status_code == 400
    assert not Invite.objects.exists() and not mails


def test_it_ends_by_itself_and_by_hand(people: People) -> None:
    link = link_in(invite(people, days="1").content.decode())
    made = Invite.objects.get()
    assert timedelta(hours=23) < made.expires_at - timezone.now() <= timedelta(days=1)
    Invite.objects.update(expires_at=timezone.now())
    assert Client().get(link).status_code == people.client("stranger").post(link).status_code == 404
    again = link_in(invite(people).content.decode())
    people.client("owner").post(reverse("invite-revoke", args=[Invite.objects.latest("pk").pk]))
    assert people.client("stranger").post(again).status_code == 404
    assert not Membership.objects.filter(user=people.stranger, team=people.team).exists()


def test_open_ones_are_listed_for_administrators_with_no_token(people: People, mails: list[Any]) -> None:
    token = link_in(invite(people, email=MAIL).content.decode()).split("/")[2]
    url = reverse("team", args=[people.team.pk])
    page = people.client("owner").get(url).content.decode()
    assert MAIL in page and "as editor" in page and token not in page
    assert MAIL not in people.client("editor").get(url).content.decode()
    assert token not in repr([list(Invite.objects.values()), list(AuditEntry.objects.values())])
    assert MAIL not in repr(list(AuditEntry.objects.values("detail")))


def test_there_are_limits(people: People, mails: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invites, "MAILS_AN_HOUR", 1)
    invite(people, email=MAIL)
    text = invite(people, email=MAIL).content.decode()
    assert "within an hour" in text and link_in(text) and len(mails) == 1
    monkeypatch.setattr(invites, "MOST_OPEN", 2)
    response = invite(people)
    assert response.status_code == 400 and "Take back some" in response.content.decode()
    with pytest.raises(InviteError, match="1 to 30 days"):
        invites.create_invite(team=people.team, role="viewer", by=people.owner, days=31)  # type: ignore[arg-type]


def test_only_colleagues_are_found_by_their_names(people: People) -> None:
    url = reverse("member-add", args=[people.team.pk])
    client = people.client("owner")

    def answer(name: str) -> str:
        response = client.post(url, {"username": name, "role": "viewer"})
        assert response.status_code == 400
        return re.sub(r"\b\w{64}\b", "", response.content.decode().replace(name, ""))

    assert answer("stranger") == answer("nobody-at-all")
    make_member(make_team(admin=people.owner), people.stranger)
    assert client.post(url, {"username": "stranger", "role": "viewer"}).status_code == 302
    assert Membership.objects.filter(user=people.stranger, team=people.team).exists()
