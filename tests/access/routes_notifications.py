"""Who may see and change notifications, webhooks and watch rules."""

from __future__ import annotations

import secrets
from typing import Any

from studio.notifications.models import Kind, Notification, WatchRule
from studio.notifications.webhooks import create_webhook
from tests.access.matrix import administers, edits, reads, signed_in
from tests.access.people import People
from tests.access.routes_reports import members
from tests.factories import make_run

HOOK = {"name": "Chat", "url": "https://chat.example/hook", "style": "slack", "kinds": ["run"]}


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_run(people: People) -> dict[str, Any]:
    return {"pk": make_run(people.project).pk}


def a_team_with_a_webhook(people: People) -> dict[str, Any]:
    a_webhook(people)
    return {"pk": people.team.pk}


def a_webhook(people: People) -> dict[str, Any]:
    made = create_webhook(
        team=people.team, by=people.owner, name="Chat", url="https://chat.example", style="json", kinds=["run"]
    )
    return {"pk": made.pk}


def a_rule(people: People) -> dict[str, Any]:
    made = WatchRule.objects.create(project=people.project, condition="nonfinite", created_by=people.editor)
    return {"pk": made.pk}


def a_notification_of_the_owner(people: People) -> dict[str, Any]:
    fields = {"key": secrets.token_hex(8), "kind": Kind.RUN, "title": "Done", "url": f"/projects/{people.project.pk}/"}
    return {"pk": Notification.objects.create(user=people.owner, project=people.project, **fields).pk}


ROUTES = [
    signed_in("notification-list"),
    signed_in("notification-count"),
    signed_in("notification-read", method="POST", ok=302),
    signed_in("mail-choice", method="POST", ok=302, data=lambda p, kwargs: {"kinds": ["run"]}),
    # That of somebody else is like one that is gone: both lead back to the list.
    signed_in("notification-open", a_notification_of_the_owner, method="POST", ok=302),
    members("run-watch", a_run),
    administers("team-webhooks", a_team_with_a_webhook, method="GET", ok=200),
    administers("team-webhooks", a_team_with_a_webhook, data=lambda p, kwargs: HOOK),
    administers("webhook-delete", a_webhook),
    administers("webhook-try", a_webhook),
    administers("webhook-take-over", a_webhook),
    reads("project-rules", a_project),
    edits("rule-create", a_project, data=lambda p, kwargs: {"condition": "nonfinite", "action": "tell"}),
    edits("rule-delete", a_rule),
]
