"""Sends what waits: e-mails and webhooks, each tried again with growing pauses until it arrives or is given up.

What may not be told any more when its time comes is not sent: hours may lie between an event and the last try.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.utils import timezone

from studio.accounts.models import Project
from studio.core.outbound import OutboundError, post
from studio.notifications.models import Delivery, MailChoice, Notification, Webhook

log = logging.getLogger(__name__)
MOST = 50
PAUSES_S = (10, 60, 300, 1800, 7200)  # after the first try, the second, …; then it is given up
SENDING_S = 60.0  # who takes one sends it within so long, or another one may
KEEP = timedelta(days=30)


class Withdrawn(Exception):
    """It may not be told any more; the words are for administrators of the team."""


def deliver_due() -> int:
    """Send at most MOST of what is due; how many arrived."""
    now = timezone.now()
    due = Delivery.objects.filter(state=Delivery.State.WAITING, next_at__lte=now).order_by("next_at")
    sent = 0
    for delivery in due.select_related("webhook", "notification__user")[:MOST]:
        taken = Delivery.objects.filter(pk=delivery.pk, tries=delivery.tries, state=Delivery.State.WAITING)
        if taken.update(tries=F("tries") + 1, next_at=timezone.now() + timedelta(seconds=SENDING_S)):
            sent += _try(delivery)
    return sent


def _try(delivery: Delivery) -> bool:
    rows = Delivery.objects.filter(pk=delivery.pk)
    try:
        _send(delivery)
    except Withdrawn as why:
        rows.update(state=Delivery.State.FAILED, error=str(why))
        return False
    except (OutboundError, OSError, SMTPException) as error:
        log.info("delivery %s did not arrive: %s", delivery.pk, error)
        words = str(error)[:300]
        if delivery.tries >= len(PAUSES_S):
            rows.update(state=Delivery.State.FAILED, error=words)
        else:
            pause = timedelta(seconds=PAUSES_S[delivery.tries])
            rows.update(next_at=timezone.now() + pause, error=words)
        return False
    rows.update(state=Delivery.State.SENT, sent_at=timezone.now(), error="")
    return True


def _send(delivery: Delivery) -> None:
    if delivery.webhook is not None:
        _check_webhook(delivery.webhook, delivery)
        _call(delivery.webhook, delivery)
    elif (notification := delivery.notification) is not None:
        _check_reader(notification)
        address = settings.PUBLIC_URL + notification.url
        text = "\n\n".join(part for part in (notification.title, notification.text, address) if part)
        send_mail(notification.title, text, settings.DEFAULT_FROM_EMAIL, [notification.user.email])


def _check_webhook(hook: Webhook, delivery: Delivery) -> None:
    """Withdrawn where the hook has stopped or the project is private by now, or gone. Two queries."""
    if not Webhook.objects.working().filter(pk=hook.pk).exists():
        raise Withdrawn("Not sent: who made the webhook does not administer the team any more.")
    project = delivery.body.get("project")
    if project is not None and not Project.objects.filter(pk=project, team=hook.team_id, is_private=False).exists():
        raise Withdrawn("Not sent: the project is private by now, or gone.")


def _check_reader(notification: Notification) -> None:
    """Withdrawn where the person may not sign in or see the project any more, or wants no such e-mails. Two queries."""
    user = notification.user
    if not user.is_active or not Notification.objects.visible_to(user).filter(pk=notification.pk).exists():
        raise Withdrawn("Not sent: the person may not see it any more.")
    kinds = MailChoice.objects.filter(user=user).values_list("kinds", flat=True).first() or ()
    if not user.email or notification.kind not in kinds:
        raise Withdrawn("Not sent: the person wants no e-mail about it any more.")


def _call(hook: Webhook, delivery: Delivery) -> None:
    body = payload(hook, delivery)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "training-studio",
        "X-Studio-Delivery": str(delivery.pk),
    }
    stamp = int(time.time())
    headers["X-Studio-Signature"] = f"t={stamp},v1={signature(hook.secret, stamp, body)}"
    status = post(hook.url, body, headers)
    if not 200 <= status < 300:
        raise OutboundError(f"The answer was {status}; 2xx is what counts as arrived.")


def payload(hook: Webhook, delivery: Delivery) -> bytes:
    facts = delivery.body
    if hook.style == Webhook.Style.SLACK:
        words = _slack(facts.get("text", ""))
        title = f"<{facts['url']}|{_slack(facts['title'])}>"
        return json.dumps({"text": f"{title}\n{words}" if words else title}).encode()
    return json.dumps(facts, sort_keys=True).encode()


def signature(secret: str, stamp: int, body: bytes) -> str:
    """Hex HMAC-SHA256 of `stamp.body`: who gets it computes the same and refuses old stamps."""
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def _slack(text: str) -> str:
    """Without what Slack would take as markup, https://api.slack.com/reference/surfaces/formatting#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "¦")


def forget_old() -> None:
    """Delete what arrived or was given up a month ago."""
    Delivery.objects.exclude(state=Delivery.State.WAITING).filter(created_at__lt=timezone.now() - KEEP).delete()
