"""Who sees a project: the team, or the people whom it names; what is told of it, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.urls import reverse

from studio.accounts.access import readers_of, who_sees
from studio.accounts.members import remove_member
from studio.accounts.models import AuditEntry, Membership, Project, ProjectMember, User
from studio.accounts.projects import create_project, show_project
from studio.notifications import deliver, tell
from studio.notifications.models import Delivery, MailChoice, Notification, Webhook
from studio.reports import comments, reviews
from studio.reports.errors import ReviewError
from tests.access.people import People
from tests.factories import make_member, make_run

pytestmark = pytest.mark.django_db


def edit(of: People, person: str, **given: Any) -> Any:
    return of.client(person).post(reverse("project-edit", args=[of.project.pk]), {"name": "Digits", **given})


def named(project: Project) -> set[str]:
    return set(project.named.values_list("user__username", flat=True))


def private(people: People, *others: User) -> Project:
    show_project(project=people.project, is_private=True, people=others, by=people.editor)
    people.project.refresh_from_db()
    return people.project


def test_an_editor_makes_a_project_private_and_stays_among_its_people(people: People) -> None:
    assert edit(people, "editor", visibility="named").status_code == 302
    people.project.refresh_from_db()
    assert people.project.is_private and named(people.project) == {"editor"}
    assert edit(people, "editor", visibility="named", people=[people.viewer.pk]).status_code == 302
    assert named(people.project) == {"editor", "viewer"}
    assert (
        list(AuditEntry.objects.filter(action="project.show").values_list("detail__private", flat=True)) == [True] * 2
    )


def test_it_becomes_the_teams_again_and_forgets_whom_it_named(people: People) -> None:
    private(people, people.viewer)
    edit(people, "owner", visibility="team")
    people.project.refresh_from_db()
    assert not people.project.is_private and not named(people.project)


def test_a_form_that_does_not_say_who_sees_it_changes_nothing(people: People) -> None:
    private(people)
    response = edit(people, "editor")
    assert response.status_code == 200 and "This field is required" in response.content.decode()
    people.project.refresh_from_db()
    assert people.project.is_private


def test_somebody_outside_of_the_team_cannot_be_named(people: People) -> None:
    assert edit(people, "editor", visibility="named", people=[people.stranger.pk]).status_code == 200
    private(people, people.stranger)
    assert named(people.project) == {"editor"}


def test_a_private_project_can_be_made_at_once(people: People) -> None:
    url = reverse("project-create")
    given = {"team": people.team.pk, "name": "Secret", "visibility": "named"}
    response = people.client("editor").post(url, given)
    made = Project.objects.get(name="Secret")
    assert response["Location"] == reverse("project-edit", args=[made.pk])
    assert made.is_private and named(made) == {"editor"}


def test_who_leaves_the_team_is_not_named_any_more(people: People) -> None:
    private(people, people.viewer)
    membership = Membership.objects.get(user=people.viewer)
    remove_member(membership=membership, by=people.owner)
    make_member(people.team, people.viewer)
    assert not Project.objects.visible_to(people.viewer).filter(pk=people.project.pk).exists()


def test_its_readers_are_the_named_and_the_administrators(people: People) -> None:
    other = create_project(team=people.team, name="Open", by=people.owner)
    private(people)
    assert set(readers_of(people.project).values_list("username", flat=True)) == {"owner", "editor"}
    everybody = {user.pk for _, user in people if user}
    pairs = who_sees({people.project.pk, other.pk}, everybody)
    assert pairs == {
        (people.project.pk, people.owner.pk), (people.project.pk, people.editor.pk),
        *((other.pk, user.pk) for user in (people.owner, people.editor, people.viewer)),
    }  # fmt: skip
    assert Project.objects.visible_to(people.owner).count() == 2  # each once
    ProjectMember.objects.create(project=people.project, user=people.owner)
    assert Project.objects.visible_to(people.owner).count() == 2


def test_others_are_neither_told_of_it_nor_asked_about_it(people: People) -> None:
    run = make_run(private(people), created_by=people.owner)
    comments.comment(run=run, author=people.editor, text="@viewer @owner look")
    tell.tell_new()
    assert set(Notification.objects.values_list("user__username", flat=True)) == {"owner"}
    with pytest.raises(ReviewError, match="not in this project"):
        reviews.ask(run=run, by=people.editor, reviewer=people.viewer)
    page = people.client("editor").get(reverse("run-discussion", args=[run.pk])).content.decode()
    assert f'<option value="{people.owner.pk}"' in page and f'<option value="{people.viewer.pk}"' not in page


def test_what_a_person_was_told_is_gone_with_the_right_to_see_it(people: People) -> None:
    comments.comment(run=make_run(people.project), author=people.editor, text="@viewer look")
    tell.tell_new()
    assert Notification.objects.visible_to(people.viewer).count() == 1
    private(people)
    assert Notification.objects.visible_to(people.viewer).count() == 0


def test_what_a_run_was_made_from_is_told_to_those_who_see_it(people: People) -> None:
    first = make_run(people.project, name="hidden-origin")
    child = make_run(create_project(team=people.team, name="Open", by=people.owner), parent=first, name="hidden-child")
    private(people)
    for name in ("run", "run-config"):
        pages = {
            who: people.client(who).get(reverse(name, args=[child.pk])).content.decode() for who in ("editor", "viewer")
        }
        assert "hidden-origin" in pages["editor"] and "hidden-origin" not in pages["viewer"]


def test_an_e_mail_that_waits_is_not_sent_to_who_may_not_see_it_any_more(people: People, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example"
    MailChoice.objects.create(user=people.viewer, kinds=["comment"])
    comments.comment(run=make_run(people.project), author=people.editor, text="@viewer look")
    tell.tell_new()
    assert Delivery.objects.count() == 1
    private(people)
    deliver.deliver_due()
    assert not mail.outbox and Delivery.objects.get().state != Delivery.State.WAITING


def test_webhooks_tell_the_team_nothing_of_it(people: People) -> None:
    hook = {"name": "Chat", "url": "https://chat.example", "kinds": ["comment"], "secret": "s"}
    Webhook.objects.create(team=people.team, created_by=people.owner, **hook)
    open_run = make_run(create_project(team=people.team, name="Open", by=people.owner))
    hidden = make_run(private(people))
    for run in (open_run, hidden):
        comments.comment(run=run, author=people.editor, text="look")
    tell.tell_new()
    assert [d.body["project"] for d in Delivery.objects.all()] == [open_run.project_id]
