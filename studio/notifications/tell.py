"""Tells people and webhooks what has happened: each event once, however often and wherever this runs.

Events are the rows of activities and of runs that ended. A scan takes those since the last one and a minute more, since
a row may become visible later than its time says; the key of each event sees to it that nobody is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from studio.accounts.access import who_sees
from studio.accounts.activity import LONGEST_TEXT, shortened
from studio.accounts.models import Activity, Project
from studio.notifications.models import Cursor, Delivery, Kind, MailChoice, Notification, RunWatch, Webhook
from studio.runs.models import SETTLED, RunEvent

OVERLAP = timedelta(minutes=1)
NAME = "events"
MOST = 1000  # events in a scan; more are told by the next one
ENDS = {"succeeded": "has finished", "failed": "has failed", "cancelled": "was cancelled"}


@dataclass(frozen=True)
class Event:
    """`people` are user numbers; who may not see the project any more is not told."""

    key: str
    kind: str
    team_id: int
    project_id: int
    at: datetime
    title: str
    text: str
    url: str
    people: frozenset[int]
    facts: dict[str, Any] = field(default_factory=dict)


def tell_new() -> int:
    """Tell what is new; how many notifications and deliveries were made. About ten queries."""
    now = timezone.now()
    cursor, _ = Cursor.objects.get_or_create(name=NAME, defaults={"at": now - OVERLAP})
    events = [*_activities(cursor.at - OVERLAP), *_ends(cursor.at - OVERLAP)]
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


def _ends(since: datetime) -> Iterable[Event]:
    """Runs that ended. Who ended it knows already and is not told."""
    rows = RunEvent.objects.filter(at__gte=since, kind="state", to_state__in=SETTLED).order_by("at")
    found = list(rows.select_related("run__project", "run__created_by")[: MOST + 1])
    watching: dict[int, set[int]] = {}
    for run_pk, user_pk in RunWatch.objects.filter(run__in={e.run_id for e in found}).values_list("run", "user"):
        watching.setdefault(run_pk, set()).add(user_pk)
    for event in found:
        run, people = event.run, watching.get(event.run_id, set())
        if run.created_by is not None and event.by != str(run.created_by):
            people = {*people, run.created_by.pk}
        yield Event(
            key=f"run-event-{event.pk}",
            kind=Kind.RUN,
            team_id=run.project.team_id,
            project_id=run.project_id,
            at=event.at,
            title=f"{run} {ENDS[event.to_state]}",
            text=shortened(event.text, LONGEST_TEXT),
            url=reverse("run", args=[run.pk]),
            people=frozenset(people),
            facts={"run": run.pk, "number": run.number, "name": run.name, "state": event.to_state},
        )


def _notify(events: list[Event]) -> int:
    """In-app notifications, and the e-mails that people wanted of them."""
    people = {pk for event in events for pk in event.people}
    if not people:
        return 0
    readers = who_sees({event.project_id for event in events}, people)
    rows = [
        Notification(
            user_id=pk, project_id=e.project_id, key=e.key, kind=e.kind, title=e.title, text=e.text, url=e.url, at=e.at
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
    return len(fresh) + _mail(fresh)


def _known(rows: list[Notification]) -> set[tuple[int, str]]:
    keys = {row.key for row in rows}
    return set(Notification.objects.filter(key__in=keys).values_list("user_id", "key"))


def _mail(fresh: list[Notification]) -> int:
    if not settings.EMAIL_HOST:
        return 0
    users = {row.user_id for row in fresh}
    wanted = dict(MailChoice.objects.filter(user__in=users).exclude(user__email="").values_list("user_id", "kinds"))
    keys = [row.key for row in fresh if row.kind in wanted.get(row.user_id, ())]
    rows = Notification.objects.filter(key__in=keys, user__in=wanted)
    made = [Delivery(notification=n, key=n.key) for n in rows if n.kind in wanted[n.user_id]]
    Delivery.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def _send(events: list[Event]) -> int:
    """What webhooks get of it: they tell a team, and so nothing of a private project."""
    hooks = list(Webhook.objects.working().filter(team__in={e.team_id for e in events}))
    if not hooks:
        return 0
    private = Project.objects.filter(pk__in={e.project_id for e in events}, is_private=True)
    hidden = set(private.values_list("pk", flat=True))
    events = [event for event in events if event.project_id not in hidden]
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
