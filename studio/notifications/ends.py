"""Ends of runs as events: of each run, or of many that were queued in one go as one.

A go of FEWEST runs or more is told when the last one has ended: how many succeeded, how many failed. Until then only
failures are told, the first LOUD of them by e-mail and to webhooks as well. Who watches a run is told of it as ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.urls import reverse
from django.utils import timezone

from studio.accounts.activity import LONGEST_TEXT, shortened
from studio.notifications.events import Event
from studio.notifications.models import Kind, RunWatch
from studio.runs.models import SETTLED, Run, RunEvent, State
from studio.runs.together import GAP

FEWEST, LOUD = 4, 3
MOST_GOES, MOST_NAMED = 200, 200
ENDS = {"succeeded": "has finished", "failed": "has failed", "cancelled": "was cancelled"}
Place = tuple[int, int]  # a project and the number of the first run


@dataclass(frozen=True)
class Go:
    """Runs that were queued in one go, in the order of their numbers."""

    runs: list[Run]

    @property
    def is_told_as_one(self) -> bool:
        return len(self.runs) >= FEWEST

    @property
    def has_ended(self) -> bool:
        """All of them, and so long ago was the last one queued that none can follow."""
        newest = max(run.created_at for run in self.runs)
        return newest < timezone.now() - GAP and all(run.is_settled for run in self.runs)

    @cached_property
    def loud(self) -> set[int]:
        """The runs that failed first."""
        failed = [run for run in self.runs if run.state == State.FAILED and run.ended_at]
        return {run.pk for run in sorted(failed, key=lambda run: (run.ended_at or run.created_at, run.pk))[:LOUD]}


def ends(since: datetime, most: int) -> Iterator[Event]:
    """Runs that ended since then, at most one more than `most`, and goes that have ended. Up to five queries."""
    ended = RunEvent.objects.filter(kind="state", to_state__in=SETTLED).order_by("at")
    found = list(ended.filter(at__gte=since).select_related("run__project", "run__created_by")[: most + 1])
    goes = _goes(since)
    watching: dict[int, set[int]] = {}
    for run_pk, user_pk in RunWatch.objects.filter(run__in={e.run_id for e in found}).values_list("run", "user"):
        watching.setdefault(run_pk, set()).add(user_pk)
    for event in found:
        go = goes.get((event.run.project_id, event.run.together or 0))
        yield _of_run(event, watching.get(event.run_id, set()), go if go and go.is_told_as_one else None)
    yield from _of_goes([go for go in goes.values() if go.is_told_as_one and go.has_ended])


def _goes(since: datetime) -> dict[Place, Go]:
    """Those of which a run ended since then, or shortly before, when another one might still have followed."""
    ended = RunEvent.objects.filter(
        at__gte=since - GAP, kind="state", to_state__in=SETTLED, run__together__isnull=False
    )
    places = set(ended.order_by().values_list("run__project", "run__together").distinct()[:MOST_GOES])
    if not places:
        return {}
    runs = Run.objects.filter(project__in={p for p, _ in places}, together__in={first for _, first in places})
    runs = runs.exclude(state=State.DRAFT).select_related("project", "created_by").order_by("number")
    found: dict[Place, Go] = {}
    for run in runs.only(
        "project__team", "project__name", "number", "name", "state", "together", "created_at", "ended_at",
        "created_by__username", "created_by__first_name", "created_by__last_name",
    ):  # fmt: skip
        if (place := (run.project_id, run.together or 0)) in places:
            found.setdefault(place, Go([])).runs.append(run)
    return found


def _of_run(event: RunEvent, watchers: set[int], go: Go | None) -> Event:
    """Who ended it knows already and is not told; who started it in a go hears of failures alone."""
    run, owner = event.run, set[int]()
    if run.created_by is not None and event.by != str(run.created_by):
        owner = {run.created_by.pk}
    if go is not None and event.to_state != State.FAILED:
        owner = set()
    is_gathered = go is not None and not (event.to_state == State.FAILED and run.pk in go.loud)
    return Event(
        key=f"run-event-{event.pk}",
        kind=Kind.RUN,
        team_id=run.project.team_id,
        project_id=run.project_id,
        at=event.at,
        title=f"{run} {ENDS[event.to_state]}",
        text=shortened(event.text, LONGEST_TEXT),
        url=reverse("run", args=[run.pk]),
        people=frozenset(watchers | owner),
        facts={"run": run.pk, "number": run.number, "name": run.name, "state": event.to_state},
        bundle=_bundle(run) if go is not None else "",
        is_gathered=is_gathered,
        unmailed=frozenset(owner - watchers) if is_gathered else frozenset(),
    )


def _of_goes(goes: list[Go]) -> Iterable[Event]:
    """One event for each, named by the last end in it: a run that is taken up again and ends once more is told anew."""
    pks = [run.pk for go in goes for run in go.runs]
    last: dict[int, RunEvent] = {}
    if pks:
        rows = RunEvent.objects.filter(run__in=pks, kind="state", to_state__in=SETTLED).order_by("pk")
        last = {event.run_id: event for event in rows}
    return [_of_go(go, [last[run.pk] for run in go.runs if run.pk in last]) for go in goes]


def _of_go(go: Go, ended: list[RunEvent]) -> Event:
    first, newest = go.runs[0], max(ended, key=lambda event: event.pk)
    count = Counter(run.state for run in go.runs)
    failed = [f"#{run.number}" for run in go.runs if run.state == State.FAILED]
    owner = first.created_by
    knows = owner is None or all(event.by == str(owner) for event in ended)
    text = f"#{first.number} to #{go.runs[-1].number}, queued in one go."
    return Event(
        key=f"{_bundle(first)}-{newest.pk}",
        kind=Kind.RUN,
        team_id=first.project.team_id,
        project_id=first.project_id,
        at=newest.at,
        title=f"{len(go.runs)} runs have ended: {', '.join(f'{count[s]} {s}' for s in ENDS if count[s])}",
        text=shortened(f"{text} Failed: {', '.join(failed)}." if failed else text, LONGEST_TEXT),
        url=f"{reverse('project', args=[first.project_id])}?q=together:{first.together}",
        people=frozenset() if owner is None or knows else frozenset({owner.pk}),
        facts={
            **{state: count[state] for state in ENDS},
            "runs": [{"run": r.pk, "number": r.number, "state": r.state} for r in go.runs[:MOST_NAMED]],
            "count": len(go.runs),
        },
        bundle=_bundle(first),
    )


def _bundle(run: Run) -> str:
    return f"together-{run.project_id}-{run.together}"
