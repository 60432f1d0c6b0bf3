"""What may not be told any more when its time comes is not sent, though it has waited since it still might be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from studio.accounts.models import Membership, Project, ProjectMember, User
from studio.accounts.projects import show_project
from studio.notifications import deliver, tell
from studio.notifications.models import Delivery, MailChoice, Webhook
from studio.reports.comments import comment
from studio.runs.models import Run
from tests import factories
from tests.access.people import People
from tests.notifications.test_tell import Receiver, _no_hints, hook, receiver, run

__all__ = ["_no_hints", "receiver", "run"]
pytestmark = pytest.mark.django_db


def make_private(people: People) -> None:
    show_project(project=people.project, is_private=True, people=[], by=people.owner)


def delete_project(people: People) -> None:
    Run.objects.filter(project=people.project).delete()
    Project.objects.filter(pk=people.project.pk).delete()


def maker_leaves(people: People) -> None:
    Membership.objects.filter(user=people.owner).delete()


def maker_is_editor(people: People) -> None:
    Membership.objects.filter(user=people.owner).update(role="editor")


def maker_is_shut_out(people: People) -> None:
    User.objects.filter(pk=people.owner.pk).update(is_active=False)


def maker_is_gone(people: People) -> None:
    Webhook.objects.update(created_by=None)


def again() -> None:
    Delivery.objects.update(next_at=timezone.now())
    deliver.deliver_due()


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (make_private, "private by now"),
        (delete_project, "gone"),
        (maker_leaves, "does not administer"),
        (maker_is_editor, "does not administer"),
        (maker_is_shut_out, "does not administer"),
        (maker_is_gone, "does not administer"),
    ],
)
def test_a_webhook_is_not_told_again_what_it_may_not_know_any_more(
    people: People, run: Run, receiver: str, act: Callable[[People], None], why: str
) -> None:
    hook(people, receiver)
    Receiver.status = 500
    comment(run=run, author=people.viewer, text="secret plans")
    tell.tell_new()
    deliver.deliver_due()
    assert len(Receiver.got) == 1
    Receiver.status = 204
    act(people)
    again()
    assert len(Receiver.got) == 1
    row = Delivery.objects.get()
    assert row.state == "failed" and why in row.error
    again()
    assert len(Receiver.got) == 1


def test_what_stays_open_to_the_team_is_told_again(people: People, run: Run, receiver: str) -> None:
    hook(people, receiver)
    Receiver.status = 500
    comment(run=run, author=people.viewer, text="x")
    tell.tell_new()
    deliver.deliver_due()
    make_private(people)
    show_project(project=Project.objects.get(pk=people.project.pk), is_private=False, people=[], by=people.owner)
    Receiver.status = 204
    again()
    assert Delivery.objects.get().state == "sent"


def test_a_webhook_that_stopped_says_so_and_is_taken_over(people: People, run: Run, receiver: str) -> None:
    made = hook(people, receiver)
    factories.make_member(people.team, user := factories.make_user("second"), "admin")
    maker_is_editor(people)
    comment(run=run, author=people.viewer, text="meanwhile")
    tell.tell_new()
    assert not Delivery.objects.exists()
    second = people.client("editor")
    second.force_login(user)
    page = reverse("team-webhooks", args=[people.team.pk])
    assert "Nothing is sent" in second.get(page).content.decode()
    second.post(reverse("webhook-take-over", args=[made.pk]))
    assert "Nothing is sent" not in second.get(page).content.decode()
    comment(run=run, author=people.viewer, text="after")
    for _ in range(2):
        tell.tell_new()
        deliver.deliver_due()
    assert [row.body["text"] for row in Delivery.objects.all()] == ["after"] and len(Receiver.got) == 1


def viewer_leaves(people: People) -> None:
    Membership.objects.filter(user=people.editor).delete()


def viewer_is_named_no_more(people: People) -> None:
    Project.objects.filter(pk=people.project.pk).update(is_private=True)
    ProjectMember.objects.filter(user=people.editor).delete()


def viewer_is_shut_out(people: People) -> None:
    User.objects.filter(pk=people.editor.pk).update(is_active=False)


def wants_none(people: People) -> None:
    MailChoice.objects.update(kinds=["run"])


def has_no_address(people: People) -> None:
    User.objects.filter(pk=people.editor.pk).update(email="")


@pytest.mark.parametrize(
    "act", [viewer_leaves, viewer_is_named_no_more, viewer_is_shut_out, wants_none, has_no_address]
)
def test_no_e_mail_goes_to_who_may_not_or_will_not_have_it(
    people: People, run: Run, settings: Any, act: Callable[[People], None]
) -> None:
    settings.EMAIL_HOST = "mail.example"
    MailChoice.objects.create(user=people.editor, kinds=["comment"])
    comment(run=run, author=people.viewer, text="secret plans")
    tell.tell_new()
    assert Delivery.objects.count() == 1
    act(people)
    deliver.deliver_due()
    assert not mail.outbox
    row = Delivery.objects.get()
    assert row.state == "failed" and row.error.startswith("Not sent")
    Delivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    deliver.deliver_due()
    assert not mail.outbox
