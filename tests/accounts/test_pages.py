"""The account, team and project pages."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from studio.accounts.models import ApiToken, AuditEntry, Membership, Project, User
from studio.accounts.tokens import token_for
from tests.access.people import People
from tests.factories import PASSWORD, make_member, make_project, make_run, make_team

pytestmark = pytest.mark.django_db
NEW = "another-long-password"


def test_a_token_is_shown_once(people: People) -> None:
    client = people.client("viewer")
    response = client.post(reverse("token-create"), {"name": "notebook", "scope": "read", "days": "30"})
    assert "no-store" in response["Cache-Control"]
    found = re.search(r"studio_[\w-]{40,}", response.content.decode())
    assert found
    row = token_for(found[0])
    assert row is not None
    assert (row.user, row.scope) == (people.viewer, "read")
    assert found[0] not in client.get(reverse("account")).content.decode()
    client.post(reverse("token-revoke", args=[row.pk]))
    assert token_for(found[0]) is None


def test_a_token_without_an_end_can_be_made_but_none_with_a_made_up_scope(people: People) -> None:
    client = people.client("viewer")
    assert client.post(reverse("token-create"), {"name": "a", "scope": "write", "days": ""}).status_code == 200
    assert ApiToken.objects.get().expires_at is None
    assert client.post(reverse("token-create"), {"name": "a", "scope": "admin", "days": "5"}).status_code == 400
    assert ApiToken.objects.count() == 1


def test_a_new_password_ends_the_other_sessions(people: People) -> None:
    here, elsewhere = people.client("viewer"), people.client("viewer")
    data = {"current": PASSWORD, "password": NEW, "again": NEW}
    assert here.post(reverse("password"), data).status_code == 302
    assert here.get(reverse("account")).status_code == 200
    assert elsewhere.get(reverse("account")).status_code == 302


def test_the_old_password_is_asked_for_and_guessing_it_is_counted(people: People) -> None:
    client = people.client("viewer")
    data = {"current": "wrong", "password": NEW, "again": NEW}
    answers = [client.post(reverse("password"), data) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {400}
    assert "not your password" in answers[0].content.decode()
    assert "Too many tries" in answers[-1].content.decode()
    people.viewer.refresh_from_db()
    assert people.viewer.check_password(PASSWORD)


def test_who_has_no_password_sets_one_without_an_old_one(people: People) -> None:
    people.viewer.set_unusable_password()
    people.viewer.save()
    assert people.client("viewer").post(reverse("password"), {"password": NEW, "again": NEW}).status_code == 302


def test_the_theme_is_kept_and_leads_back(people: People) -> None:
    client = people.client("viewer")
    assert client.post(reverse("theme"), {"theme": "dark", "next": "/teams/new/"})["Location"] == "/teams/new/"
    assert client.post(reverse("theme"), {"theme": "pink", "next": "//x.example"})["Location"] == "/account/"
    assert User.objects.get(pk=people.viewer.pk).theme == "dark"


def test_forms_take_only_their_own_fields(people: People) -> None:
    data = {"theme": "dark", "is_superuser": "1", "username": "root", "password": "x", "is_staff": "on"}
    people.client("viewer").post(reverse("account"), data)
    user = User.objects.get(pk=people.viewer.pk)
    assert (user.username, user.is_superuser, user.is_staff) == ("viewer", False, False)
    people.client("editor").post(
        reverse("project-edit", args=[people.project.pk]),
        {"name": "New", "visibility": "team", "team": people.other_project.team_id},
    )
    project = Project.objects.get(pk=people.project.pk)
    assert (project.name, project.team) == ("New", people.team)


def test_a_project_is_made_only_in_a_team_of_ones_own(people: People) -> None:
    client = people.client("editor")
    refused = client.post(
        reverse("project-create"), {"team": people.other_project.team_id, "name": "Mine", "visibility": "team"}
    )
    assert refused.status_code == 200
    client.post(reverse("project-create"), {"team": people.team.pk, "name": "Digits", "visibility": "team"})
    assert Project.objects.filter(team=people.team, name="Digits").count() == 2


def test_the_last_administrator_cannot_leave(people: People) -> None:
    client = people.client("owner")
    own = Membership.objects.get(user=people.owner)
    response = client.post(reverse("member-remove", args=[own.pk]), follow=True)
    assert "needs an administrator" in response.content.decode()
    assert Membership.objects.filter(pk=own.pk).exists()


def test_a_member_leaves_alone_but_removes_nobody(people: People) -> None:
    own = Membership.objects.get(user=people.viewer)
    other = Membership.objects.get(user=people.editor)
    client = people.client("viewer")
    assert client.post(reverse("member-remove", args=[other.pk])).status_code == 403
    assert client.post(reverse("member-remove", args=[own.pk])).status_code == 302
    assert not Membership.objects.filter(pk=own.pk).exists()


def test_an_invitation_link_is_shown_once_and_starts_with_the_public_address(people: People, settings) -> None:
    client = people.client("owner")
    response = client.post(
        reverse("invite-create", args=[people.team.pk]), {"role": "editor", "days": "7"}, headers={"Host": "localhost"}
    )
    assert f"{settings.PUBLIC_URL}/join/" in response.content.decode()
    assert "/join/" not in client.get(reverse("team", args=[people.team.pk])).content.decode()


def test_an_archived_project_leaves_the_lists_and_comes_back(people: People) -> None:
    client, url = people.client("owner"), reverse("project-archive", args=[people.project.pk])
    client.post(url)
    assert "Digits" not in client.get(reverse("project-list")).content.decode().split("is archived")[-1]
    assert "Digits" in client.get(reverse("project-list") + "?archived").content.decode()
    client.post(url, {"restore": "1"})
    assert Project.objects.active().filter(pk=people.project.pk).exists()


def queries(client: Client, url: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_lists_cost_the_same_number_of_queries_whatever_their_length(people: People) -> None:
    client = people.client("owner")
    urls = [
        reverse("project-list"),
        reverse("team", args=[people.team.pk]),
        reverse("audit-log", args=[people.team.pk]),
    ]
    before = [queries(client, url) for url in urls]
    for number in range(60):
        make_project(team=people.team)
        make_member(people.team)
        AuditEntry.objects.create(team=people.team, actor=people.owner, action=f"test.{number}")
    assert [queries(client, url) for url in urls] <= [count + 1 for count in before]  # the count of the pages
    assert max(before) <= 12
    assert client.get(urls[0]).content.count(b"/edit/") == 50
    assert client.get(urls[2]).content.count(b"<time") == 50


def test_names_are_escaped(people: People) -> None:
    Project.objects.filter(pk=people.project.pk).update(name="<script>alert(1)</script>")
    make_team("<img src=x>", admin=people.owner)
    client = people.client("owner")
    for url in (reverse("project-list"), reverse("account"), reverse("home")):
        assert b"<script>alert" not in client.get(url).content
        assert b"<img src=x>" not in client.get(url).content


def test_what_is_shown_once_can_be_copied_by_a_click(people: People) -> None:
    client = people.client("owner")
    token = client.post(reverse("token-create"), {"name": "notebook", "scope": "read", "days": "30"})
    invite = client.post(reverse("invite-create", args=[people.team.pk]), {"role": "viewer", "days": "7"})
    run = make_run(people.project)
    link = client.post(
        f"{reverse('share-create', args=[people.project.pk])}?run={run.pk}", {"days": "7", "freeze": "live"}
    )
    for page in (token, invite, link):
        words = page.content.decode()
        shown = re.search(r'<copy-button for="([\w-]+)" hidden>', words)
        assert shown and re.search(rf'<code [^>]*id="{shown[1]}"[^>]*>(studio_|http)', words)
