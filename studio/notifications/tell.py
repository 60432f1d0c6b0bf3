"""Tells people and webhooks what has happened: each event once, however often and wherever this runs.

Events are the rows of activities and of runs that ended. A scan takes those since the last one and a minute more, since
a row may become visible later than its time says; the key of each event sees to it that nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from studio.accounts.access import who_sees
from studio.accounts.models import Activity, Project
from studio.notifications.ends import ends
from studio.notifications.events import Event
from studio.notifications.models import Cursor, Delivery, Kind, MailChoice, Notification, Webhook

OVERLAP = timedelta(minutes=1)
NAME = "events"
MOST = 1000  # events in a scan; more are told by the next one


def tell_new() -> int:
    """Tell what is new; how many notifications and deliveries were made. About a dozen queries."""
    now = timezone.now()
    cursor, _ = Cursor.objects.get_or_create(name=NAME, defaults={"at": now - OVERLAP})
    events = [*_activities(cursor.at - OVERLAP), *ends(cursor.at - OVERLAP, MOST)]
    events.sort(key=lambda e: e.at)
    all_of_them = len(events) <= MOST
    events = events[:MOST]
    made = _notify(events) + _send(events)
    if events or now - cursor.at > OVERLAP / 2:
        Cursor.objects.filter(name=NAME, at__lt=now).update(at=now if all_of_them else events[-1].at)
    return made


def _activities(since: datetime) -> Iterable[Event]:
    rows = Activity.objects.filter(at__gte=since, project__isnull=False).order_by("at")[: MOST + 1]
    for row in rows:
        noun = row.kind.partition(".")[0]
        yield Event(
            key=f"activity-{row.pk}",
            kind=noun if noun in Kind.values else Kind.COMMENT,
            team_id=row.team_id,
            project_id=row.project_id or 0,
            at=row.at,
            title=row.title,
            text=row.text,
            url=row.url,
            people=frozenset(int(pk) for pk in row.people),
        )


def _notify(events: list[Event]) -> int:
    """In-app notifications, and the e-mails that people wanted of them."""
    people = {pk for event in events for pk in event.people}
    if not people:
        return 0
    readers = who_sees({event.project_id for event in events}, people)
    rows = [
        Notification(
            user_id=pk,
            project_id=e.project_id,
            key=e.key,
            bundle=e.bundle,
            kind=e.kind,
            title=e.title,
            text=e.text,
            url=e.url,
            at=e.at,
        )
        for e in events
        for pk in sorted(e.people)
        if (e.project_id, pk) in readers
    ]
    known = _known(rows)
    fresh = [row for row in rows if (row.user_id, row.key) not in known]
    if not fresh:
        return 0
    Notification.objects.bulk_create(fresh, ignore_conflicts=True)
    unmailed = {(pk, event.key) for event in events for pk in event.unmailed}
    return len(fresh) + _mail([row for row in fresh if (row.user_id, row.key) not in unmailed])


def _known(rows: list[Notification]) -> set[tuple[int, str]]:
    keys = {row.key for row in rows}
    return set(Notification.objects.filter(key__in=keys).values_list("user_id", "key"))


def _mail(fresh: list[Notification]) -> int:
    if not settings.EMAIL_HOST or not fresh:
        return 0
    users = {row.user_id for row in fresh}
    wanted = dict(MailChoice.objects.filter(user__in=users).exclude(user__email="").values_list("user_id", "kinds"))
    pairs = {(row.user_id, row.key) for row in fresh if row.kind in wanted.get(row.user_id, ())}
    rows = Notification.objects.filter(key__in={key for _, key in pairs}, user__in=wanted)
    made = [Delivery(notification=n, key=n.key) for n in rows if (n.user_id, n.key) in pairs]
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def _send(events: list[Event]) -> int:
    """What webhooks get of it: they tell a team, and so nothing of a private project."""
    hooks = list(Webhook.objects.working().filter(team__in={e.team_id for e in events}))
    if not hooks:
        return 0
    private = Project.objects.filter(pk__in={e.project_id for e in events}, is_private=True)
    hidden = set(private.values_list("pk", flat=True))
    events = [event for event in events if event.project_id not in hidden and not event.is_gathered]
    pairs = [
        (h, e) for e in events for h in hooks if h.team_id == e.team_id and e.kind in h.kinds and e.at >= h.created_at
    ]
    keys = {e.key for _, e in pairs}
    known = set(Delivery.objects.filter(webhook__in=hooks, key__in=keys).values_list("webhook_id", "key"))
    made = [Delivery(webhook=h, key=e.key, body=body_of(e)) for h, e in pairs if (h.pk, e.key) not in known]
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def body_of(event: Event) -> dict[str, Any]:
    """What a webhook is sent: ids, words and an address; no person's e-mail, no configuration."""
    return {
        "id": event.key,
        "kind": event.kind,
        "at": event.at.isoformat(),
        "project": event.project_id,
        "title": event.title,
        "text": event.text,
        "url": settings.PUBLIC_URL + event.url,
        **event.facts,
    }
