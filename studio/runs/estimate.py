"""When waiting runs will start, as far as can be told: how long runs like them took, laid out over the workers.

An estimate, and shown as one: it knows neither which runs will be queued yet nor which will fail.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from django.db.models import F
from django.utils import timezone

from studio.runs.models import Run, State

RECENT, ENOUGH = 500, 5
MOST_STARTS = 1000
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Job:
    """A run that waits. `length_s` is None while unknown; `after` is the run that has to succeed first."""

    pk: int
    team: int
    length_s: float | None
    not_before_s: float = 0.0  # from now
    after: int | None = None
    fits: frozenset[int] = frozenset()  # places that can take it


@dataclass(slots=True)
class Outlook:
    """`free_s` has for each place (a worker) when it is free, None while that is unknown; ends are those of runs."""

    free_s: Mapping[int, float | None]
    ends_s: dict[int, float] = field(default_factory=dict)  # of runs at work, as far as known
    teams_s: Mapping[int, list[float]] = field(default_factory=dict)  # by team: when its runs at work end
    most: Mapping[int, int] = field(default_factory=dict)  # by team: how many may be at work


def starts(jobs: Sequence[Job], outlook: Outlook) -> dict[int, float]:
    """Seconds from now until each run starts, in the order given; without those of which nothing can be said."""
    found: dict[int, float] = {}
    ends = dict(outlook.ends_s)
    teams = {team: sorted(times) for team, times in outlook.teams_s.items()}
    places = [(free, place) for place, free in outlook.free_s.items() if free is not None]
    heapq.heapify(places)
    idle: list[tuple[float, int]] = []
    left = list(jobs)
    while places and left and len(found) < MOST_STARTS:
        now, place = heapq.heappop(places)
        soonest = NEVER
        for index, job in enumerate(left):  # noqa: B007 - the run that is found
            if place not in job.fits:
                continue
            gate = _gate(job, ends, teams, outlook.most)
            if gate <= now:
                break
            soonest = min(soonest, gate)
        else:
            if soonest < NEVER:
                heapq.heappush(places, (soonest, place))
            else:
                idle.append((now, place))  # until the start of another run tells when one that comes after it may
            continue
        del left[index]
        found[job.pk] = now
        end = NEVER if job.length_s is None else now + job.length_s
        heapq.heappush(teams.setdefault(job.team, []), end)
        if job.length_s is None:
            continue  # nobody knows when this place is free again
        ends[job.pk] = end
        heapq.heappush(places, (end, place))
        while idle:
            heapq.heappush(places, idle.pop())
    return found


def _gate(job: Job, ends: Mapping[int, float], teams: dict[int, list[float]], most: Mapping[int, int]) -> float:
    """The earliest moment at which the run may start, whatever the places do."""
    gate = job.not_before_s
    if job.after is not None:
        gate = max(gate, ends.get(job.after, NEVER))
    limit = most.get(job.team)
    if limit is not None:
        running = teams.get(job.team, [])
        if limit < 1:
            return NEVER
        if len(running) >= limit:
            gate = max(gate, heapq.nlargest(limit, running)[-1])
    return gate


class Lengths:
    """How long runs took: the parent, else the median of the newest like it, of the same model, project or pool."""

    def __init__(self, parents: set[int]) -> None:
        """Two queries."""
        done = Run.objects.filter(state=State.SUCCEEDED, started_at__isnull=False, ended_at__isnull=False)
        fields = ("spec_hash", "model_version_id", "project_id", "pool", "started_at", "ended_at")
        self._by: dict[tuple[Any, ...], list[float]] = {}
        for spec_hash, model, project, pool, start, end in done.order_by(F("ended_at").desc()).values_list(*fields)[
            :RECENT
        ]:
            seconds = _seconds(start, end)
            for key in _keys(spec_hash, model, project, pool):
                same = self._by.setdefault(key, [])
                if len(same) < ENOUGH:
                    same.append(seconds)
        rows = done.filter(pk__in=parents).values_list("pk", "started_at", "ended_at") if parents else []
        self._parents = {pk: _seconds(start, end) for pk, start, end in rows}

    def of(self, row: Mapping[str, Any]) -> float | None:
        """Seconds, or None when no run has succeeded yet that tells anything."""
        if row["parent_id"] in self._parents:
            return self._parents[row["parent_id"]]
        for key in _keys(row["spec_hash"], row["model_version_id"], row["project_id"], row["pool"]):
            if key in self._by:
                return float(median(self._by[key]))
        return None

    def left(self, row: Mapping[str, Any]) -> float | None:
        """Seconds that a run at work still takes: what its trainer says, else what is left of its length."""
        eta = row["progress"].get("eta_s")
        if row["state"] == State.RUNNING and isinstance(eta, int | float) and math.isfinite(eta):
            return max(float(eta), 0.0)
        whole = self.of(row)
        if whole is None or row["started_at"] is None:
            return None
        return max(whole - (timezone.now() - row["started_at"]).total_seconds(), whole / 10)


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return 0.0 if start is None or end is None else max((end - start).total_seconds(), 0.0)


def _keys(spec_hash: str, model: int, project: int, pool: str) -> tuple[tuple[Any, ...], ...]:
    return ("spec", spec_hash), ("model", project, model), ("project", project), ("pool", pool)
