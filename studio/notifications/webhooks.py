"""Webhooks of a team: made by its administrators, tried out, taken away."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from studio.accounts.audit import record
from studio.accounts.models import Team, User
from studio.notifications.errors import NotificationError
from studio.notifications.models import Delivery, Webhook

MOST = 20


def create_webhook(*, team: Team, by: User, name: str, url: str, style: str, kinds: Sequence[str]) -> Webhook:
    """NotificationError when the team has MOST already. Its secret signs what is sent, see deliver.signature."""
    if Webhook.objects.filter(team=team).count() >= MOST:
        raise NotificationError(f"A team may have {MOST} webhooks. Delete one first.")
    with transaction.atomic():
        made = Webhook.objects.create(
            team=team, name=name, url=url, style=style, kinds=list(kinds), secret=secrets.token_hex(24), created_by=by
        )
        record(by, "webhook.create", made, name=name, host=url.split("/")[2])
    return made


def delete_webhook(*, webhook: Webhook, by: User) -> None:
    with transaction.atomic():
        record(by, "webhook.delete", webhook, name=webhook.name)
        webhook.delete()


def take_over(*, webhook: Webhook, by: User) -> None:
    """From now on it works while `by` administers the team; what happened while it had stopped is not sent."""
    with transaction.atomic():
        Webhook.objects.filter(pk=webhook.pk).update(created_by=by, created_at=timezone.now())
        record(by, "webhook.take-over", webhook, name=webhook.name)


def try_webhook(*, webhook: Webhook, by: User) -> Delivery:
    """Put a message on its way that says that it is one to try it out."""
    now = timezone.now()
    body = {
        "id": f"try-{now.timestamp():.6f}",
        "kind": "try",
        "at": now.isoformat(),
        "title": f"{by} tries out the webhook {webhook.name}",
        "text": "",
        "url": settings.PUBLIC_URL + reverse("team-webhooks", args=[webhook.team_id]),
    }
    return Delivery.objects.create(webhook=webhook, key=body["id"], body=body)
