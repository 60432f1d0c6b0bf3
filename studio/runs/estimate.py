"""When waiting runs will start, as far as can be told: how long runs like them took, laid out over the workers.

An estimate, and shown as one: it knows neither which runs will be queued yet nor which will fail.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from django.db.models import F
from django.utils import timezone

from studio.runs.models import Run, Source, State

RECENT, ENOUGH = 500, 5
AROUND_S = 3.0  # of a run that do not grow with it: the start, the results, the end
AMOUNTS = ("max_steps", "max_epochs")
KEYED = (
    "model_version_id", "dataset_version_id", "project_id", "pool", "spec__trainer", "spec__extras",
    "spec__model__args", "spec__data__args",
)  # fmt: skip
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
    """How long runs took: the parent, else the median of the newest alike, of the same model, project or pool.

    Alike is all but the seed and how long they train; of those, and of the same model, lengths are scaled to that.
    """

    def __init__(self, parents: set[int]) -> None:
        """Two queries."""
        done = Run.objects.filter(source=Source.STUDIO, state=State.SUCCEEDED)
        done = done.filter(started_at__isnull=False, ended_at__isnull=False)
        self._by: dict[tuple[Any, ...], list[_Took]] = {}
        for row in done.order_by(F("ended_at").desc()).values(*KEYED, "started_at", "ended_at")[:RECENT]:
            for key in _keys(row):
                same = self._by.setdefault(key, [])
                if len(same) < ENOUGH:
                    same.append(_Took.of(row))
        rows = done.filter(pk__in=parents).values("pk", *KEYED, "started_at", "ended_at") if parents else []
        self._parents = {row["pk"]: _Took.of(row) for row in rows}

    def of(self, row: Mapping[str, Any]) -> float | None:
        """Seconds, or None when no run has succeeded yet that tells anything. `row` has at least KEYED and `parent_id`."""
        amount = _amount(row)
        if row["parent_id"] in self._parents:
            return self._parents[row["parent_id"]].scaled(amount)
        for key in _keys(row):
            if key in self._by:
                scales = key[0] in ("alike", "model")
                return float(median(took.scaled(amount) if scales else took.seconds for took in self._by[key]))
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


@dataclass(frozen=True, slots=True)
class _Took:
    """A run that succeeded: after so many seconds, of which at most AROUND_S were not training."""

    seconds: float
    amount: tuple[str, float] | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> _Took:
        return cls(max((row["ended_at"] - row["started_at"]).total_seconds(), 0.0), _amount(row))

    def scaled(self, amount: tuple[str, float] | None) -> float:
        """Seconds for another amount of training, when it is told in the same unit."""
        if self.amount is None or amount is None or self.amount[0] != amount[0]:
            return self.seconds
        around_s = min(AROUND_S, self.seconds / 2)
        return around_s + (self.seconds - around_s) * amount[1] / self.amount[1]


def _amount(row: Mapping[str, Any]) -> tuple[str, float] | None:
    """How long it trains, as its specification says."""
    trainer = row["spec__trainer"] or {}
    for name in AMOUNTS:
        if isinstance(value := trainer.get(name), int | float) and value > 0:
            return name, float(value)
    return None


def _keys(row: Mapping[str, Any]) -> tuple[tuple[Any, ...], ...]:
    trainer = {name: value for name, value in (row["spec__trainer"] or {}).items() if name not in AMOUNTS}
    choices = [row["spec__model__args"], row["spec__data__args"], row["spec__extras"], trainer]
    versions = row["model_version_id"], row["dataset_version_id"]
    project, pool = row["project_id"], row["pool"]
    return (
        ("alike", *versions, json.dumps(choices, sort_keys=True)),
        ("model", project, *versions),
        ("model", project, versions[0]),
        ("project", project),
        ("pool", pool),
    )
