"""Links whose maker may not share any more: administrators see why and are told once, take them over or take them back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from studio.accounts.members import remove_member
from studio.accounts.models import AuditEntry, Membership, ProjectMember, User
from studio.accounts.projects import show_project
from studio.notifications import tell
from studio.notifications.models import Notification
from studio.reports import left_links, sharing
from studio.reports.models import ShareLink
from tests.access.people import People
from tests.factories import make_member, make_run, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.accounts.hints._tell", lambda: None)


def share(people: People, by: User | None = None) -> ShareLink:
    run = make_run(people.project, state="succeeded")
    return sharing.share(target=run, by=by or people.editor, project=people.project)[0]


def membership(people: People, name: str = "editor") -> Membership:
    return Membership.objects.get(team=people.team, user=getattr(people, name))


def leaves(people: People) -> None:
    remove_member(membership=membership(people), by=people.owner)


def only_reads(people: People) -> None:
    Membership.objects.filter(user=people.editor).update(role="viewer")


def is_shut_out(people: People) -> None:
    User.objects.filter(pk=people.editor.pk).update(is_active=False)


def is_named_no_more(people: People) -> None:
    show_project(project=people.project, is_private=True, people=[], by=people.owner)


def has_no_account(people: People) -> None:
    ShareLink.objects.update(created_by=None)


CASES = [
    (leaves, f"editor left the team on {timezone.now():%Y-%m-%d}."),
    (only_reads, "editor only reads here now"),
    (is_shut_out, "The account of editor is closed."),
    (is_named_no_more, "editor does not see this project any more."),
    (has_no_account, "Who made it has no account any more."),
]


def page(people: People, name: str = "owner", query: str = "") -> str:
    response = people.client(name).get(reverse("share-links", args=[people.project.pk]) + query)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def told(user: User) -> list[Notification]:
    left_links.tell_left_behind()
    tell.tell_new()
    return list(Notification.objects.filter(user=user))


@pytest.mark.parametrize(("act", "why"), CASES)
def test_administrators_see_why_a_link_was_left_behind(people: People, act: Callable[..., None], why: str) -> None:
    link, other = share(people), share(people, people.owner)
    take_over = reverse("share-take-over", args=[link.pk])
    assert take_over not in page(people) and not ShareLink.objects.left_behind()
    act(people)
    assert list(ShareLink.objects.left_behind()) == ([link] if act is not has_no_account else [other, link])
    html = page(people)
    assert why in html and take_over in html
    assert "may not share here any more" in html
    assert reverse("share-revoke", args=[link.pk]) in page(people, query="?left=1")
    assert why not in page(people, "viewer") if act is not is_named_no_more else True


def test_one_who_is_named_in_a_private_project_may_share_on(people: People) -> None:
    share(people)
    is_named_no_more(people)
    ProjectMember.objects.create(project=people.project, user=people.editor)
    assert not ShareLink.objects.left_behind()


def test_links_that_open_nothing_are_not_left_behind(people: People) -> None:
    revoked, expired = share(people), share(people)
    sharing.revoke(link=revoked, by=people.owner)
    ShareLink.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    leaves(people)
    assert not ShareLink.objects.left_behind() and told(people.owner) == []


@pytest.mark.parametrize(("act", "why"), CASES)
def test_administrators_are_told_once(people: People, act: Callable[..., None], why: str) -> None:
    make_member(people.team, second := make_user("second"), "admin")
    for _ in range(3):
        share(people)
    act(people)
    for _ in range(3):
        left_links.tell_left_behind()
        tell.tell_new()
    (one,) = told(people.owner)
    assert one.title == "3 open links of Digits: who made them may not share any more"
    assert why in one.text and one.kind == "share" and one.url.endswith("/links/?left=1")
    assert len(told(second)) == 1 and told(people.viewer) == []


def test_who_comes_back_and_leaves_again_is_told_again(people: People) -> None:
    share(people)
    only_reads(people)
    assert len(told(people.owner)) == 1
    Membership.objects.filter(user=people.editor).update(role="editor")
    assert len(told(people.owner)) == 1
    only_reads(people)
    assert len(told(people.owner)) == 2


def test_a_link_that_is_taken_over_is_nobodys_worry_any_more(people: People) -> None:
    link = share(people)
    leaves(people)
    people.client("owner").post(reverse("share-take-over", args=[link.pk]))
    link.refresh_from_db()
    assert link.created_by == people.owner and link.is_open
    assert not ShareLink.objects.left_behind() and told(people.owner) == []
    entry = AuditEntry.objects.get(action="share.take-over")
    assert (entry.actor, entry.detail["maker"]) == (people.owner, "editor")


def test_a_link_that_opens_nothing_is_not_taken_over(people: People) -> None:
    link = share(people)
    sharing.revoke(link=link, by=people.owner)
    response = people.client("owner").post(reverse("share-take-over", args=[link.pk]), follow=True)
    assert "does not open any more" in response.content.decode()
    assert ShareLink.objects.get().created_by == people.editor


@pytest.mark.parametrize(("choice", "is_open"), [("revoke", False), ("keep", True)])
def test_who_removes_somebody_is_asked_about_their_links(people: People, choice: str, is_open: bool) -> None:
    share(people), share(people), share(people, people.owner)
    client, address = people.client("owner"), reverse("member-remove", args=[membership(people).pk])
    asked = client.post(address)
    assert asked.status_code == 200 and "2 open links" in asked.content.decode()
    assert Membership.objects.filter(user=people.editor, team=people.team).exists()
    assert client.post(address, {"links": choice}).status_code == 302
    assert not Membership.objects.filter(user=people.editor, team=people.team).exists()
    assert [link.is_open for link in ShareLink.objects.order_by("pk")] == [is_open, is_open, True]
    assert AuditEntry.objects.filter(action="share.revoke", actor=people.owner).count() == (0 if is_open else 2)
    assert len(told(people.owner)) == int(is_open)


def test_who_leaves_is_asked_about_their_own_links(people: People) -> None:
    share(people)
    client, address = people.client("editor"), reverse("member-remove", args=[membership(people).pk])
    text = client.post(address).content.decode()
    assert "You have <strong>1 open link</strong>" in " ".join(text.split())
    assert client.post(address, {"links": "revoke"})["Location"] == reverse("home")
    assert not ShareLink.objects.open()


def test_who_shared_nothing_is_removed_at_once(people: People) -> None:
    assert (
        people.client("owner").post(reverse("member-remove", args=[membership(people, "viewer").pk])).status_code == 302
    )


def test_links_in_other_teams_are_left_alone(people: People) -> None:
    make_member(people.other_project.team, people.editor, "editor")
    run = make_run(people.other_project, state="succeeded")
    sharing.share(target=run, by=people.editor, project=people.other_project)
    assert people.client("owner").post(reverse("member-remove", args=[membership(people).pk])).status_code == 302
    assert ShareLink.objects.open().count() == 1 and not ShareLink.objects.left_behind()


def test_the_page_costs_as_many_queries_with_many_links_as_with_few(people: People) -> None:
    client, address = people.client("owner"), reverse("share-links", args=[people.project.pk])

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(address)
        return len(found)

    share(people)
    leaves(people)
    few = queries()
    others = [make_user(f"gone{n}") for n in range(8)]
    for user in others:
        share(people, user)
    assert queries() == few <= 16
    assert len(re.findall("left the team", page(people))) == 9


def test_telling_costs_few_queries(people: People, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        share(people)
    with django_assert_max_num_queries(2):
        left_links.tell_left_behind()
    leaves(people)
    with django_assert_max_num_queries(10):
        assert left_links.tell_left_behind() == 20
