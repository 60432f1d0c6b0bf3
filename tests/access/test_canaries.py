"""Secrets of people, of the team and of the server are in no answer of any route, for nobody whom they do not concern."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.urls import reverse

from studio.accounts.models import ApiToken, Invite, LoginLink, User
from studio.notifications.models import Webhook
from studio.reports.models import ShareLink
from tests.access.matrix import Route
from tests.access.people import People
from tests.access.test_matrix import ROUTES, release

CANARY = "canary-of-secrets"
READS = [route for route in ROUTES if route.method == "GET"]
#: What no answer to anybody shows, but for the one that makes it.
KEPT: dict[Any, tuple[str, ...]] = {
    User: ("password",), ApiToken: ("digest",), Invite: ("digest",), LoginLink: ("digest",), ShareLink: ("digest", "password"),
}  # fmt: skip


def hide(people: People) -> None:
    """Canaries in all rows there are."""
    for model, names in KEPT.items():
        for row in model.objects.all():
            model.objects.filter(pk=row.pk).update(**{name: f"{CANARY}-{name}-{row.pk}" for name in names})
    for webhook in Webhook.objects.all():
        Webhook.objects.filter(pk=webhook.pk).update(secret=f"{CANARY}-{webhook.pk}", url=f"https://{CANARY}.example/")


def texts(response: Any) -> str:
    said = "" if response.streaming else response.content.decode(errors="replace")
    release(response)
    return said + repr(response.headers)


def of_links(route: Route) -> bool:
    """A digest is what such a route is found by, so it must stay."""
    return route.name.startswith("shared") or route.name in ("join", "login-link")


@pytest.mark.django_db
@pytest.mark.parametrize("person", ["owner", "viewer", "anonymous"])
def test_what_is_kept_as_a_secret_is_in_no_answer(people: People, person: str) -> None:
    User.objects.exclude(username=person).update(email=f"{CANARY}@mail.example")
    client, wrong, asked = people.client(person), [], 0
    for route in READS:
        with transaction.atomic():
            kwargs = route.make(people)
            query = route.query(people, kwargs) if route.query else ""
            if not of_links(route):
                hide(people)
            if person != "anonymous":
                client.force_login(User.objects.get(username=person))  # its password is another one now
            url = reverse(route.name, kwargs=kwargs) + (f"?{query}" if query else "")
            found = texts(client.get(url, headers=route.headers))
            if CANARY in found and not (person == "owner" and route.name == "team-webhooks"):
                at = found.index(CANARY)
                wrong.append(f"{route}: {found[max(0, at - 80) : at + 60]}")
            if str(settings.DATA_DIR) in found:
                at = found.index(str(settings.DATA_DIR))
                wrong.append(f"{route} tells where files lie: {found[max(0, at - 80) : at + 60]}")
            asked += 1
            transaction.set_rollback(True)
        shutil.rmtree(settings.RUNS_DIR, ignore_errors=True)
    assert asked == len(READS) > 150
    assert not wrong, "\n".join(wrong)
