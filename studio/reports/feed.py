"""What happened in a project: what people did and how runs ended, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from heapq import merge

from django.urls import reverse

from studio.accounts.models import Activity, Project
from studio.runs.models import SETTLED, RunEvent


@dataclass(frozen=True)
class Entry:
    at: datetime
    symbol: str
    title: str
    text: str
    url: str
    state: str = ""


SYMBOLS = {"comment": "message", "review": "eye-check"}


def entries(project: Project, before: datetime | None, most: int) -> list[Entry]:
    """At most `most` of before that moment. Two queries."""
    done = Activity.objects.filter(project=project).order_by("-at", "-pk")
    ended = RunEvent.objects.filter(run__project=project, kind="state", to_state__in=SETTLED).select_related("run")
    ended = ended.order_by("-at", "-pk")
    if before is not None:
        done, ended = done.filter(at__lt=before), ended.filter(at__lt=before)
    people = [
        Entry(a.at, SYMBOLS.get(a.kind.partition(".")[0], "activity"), a.title, a.text, a.url) for a in done[:most]
    ]
    runs = [
        Entry(e.at, "activity", str(e.run), e.text, reverse("run", args=[e.run_id]), e.to_state) for e in ended[:most]
    ]
    return list(merge(people, runs, key=lambda entry: entry.at, reverse=True))[:most]
