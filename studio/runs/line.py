"""The waiting runs as people see them: the place of each in its pool, why it waits, in words, and when it may start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from studio.core.templatetags.studio import duration
from studio.runs import slots
from studio.runs.claim import usage
from studio.runs.estimate import KEYED, Job, Lengths, Outlook, starts
from studio.runs.models import GpuClaim, Pool, Run, State, TeamLimit, Worker
from studio.runs.register import online

MOST = 2000
COLUMNS = (
    *KEYED, "pk", "state", "project__team_id", "project__team__name", "parent_id", "gpus", "labels", "not_before",
    "fence", "after_id", "after__state", "after__number",
    "progress", "started_at", "worker_id", "after_checkpoint", "start_checkpoint_id",
)  # fmt: skip
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """`place` counts from 1 within the pool; `starts_in_s` is an estimate, None while nothing can be said."""

    place: int
    why: str
    starts_in_s: float | None = None

    @property
    def starts_at(self) -> datetime | None:
        return None if self.starts_in_s is None else timezone.now() + timedelta(seconds=self.starts_in_s)


class Line:
    """A look at the queue of some pools, or of all. Ten queries at most, whatever waits; the first MOST runs."""

    def __init__(self, pool: str | None = None) -> None:
        which = {} if pool is None else {"pool": pool}
        self._now = timezone.now()
        self._waiting = list(Run.objects.filter(state=State.QUEUED, **which).in_order().values(*COLUMNS)[:MOST])
        self._held = list(Run.objects.held().values(*COLUMNS)[:MOST])
        self._workers = [worker for worker in online().filter(**which) if "runs" in worker.queues]
        self._paused = {p.name: p for p in Pool.objects.filter(paused_at__isnull=False).select_related("paused_by")}
        self._limits = {limit.team_id: limit for limit in TeamLimit.objects.all()}
        self._runs, self._gpus = usage(list(self._limits)) if self._limits else ({}, {})
        self._taken = set(GpuClaim.objects.values_list("host", "device"))
        self._busy = {row["worker_id"] for row in self._held}
        self._held_runs = {row["pk"] for row in self._held}
        rows = self._waiting + self._held
        self._lengths = Lengths({row["parent_id"] for row in rows if row["parent_id"]}) if self._waiting else None

    def places(self) -> dict[int, Place]:
        """By the key of the run."""
        found: dict[int, Place] = {}
        counts: dict[str, int] = {}
        estimates = self._estimates()
        for row in self._waiting:
            count = counts[row["pool"]] = counts.get(row["pool"], 0) + 1
            at = estimates.get(row["pk"])
            found[row["pk"]] = Place(count, self._why(row, count - 1, at), at)
        return found

    def _estimates(self) -> dict[int, float]:
        if self._lengths is None:
            return {}
        left = {row["pk"]: self._lengths.left(row) for row in self._held}
        ends = {pk: seconds for pk, seconds in left.items() if seconds is not None}
        holds = {row["worker_id"]: row["pk"] for row in self._held}
        able = [worker for worker in self._workers if not worker.draining and worker.pool not in self._paused]
        free = {worker.pk: left.get(holds[worker.pk]) if worker.pk in holds else 0.0 for worker in able}
        teams: dict[int, list[float]] = {}
        for row in self._held:
            teams.setdefault(row["project__team_id"], []).append(ends.get(row["pk"], math.inf))
        most = {team: limit.max_runs for team, limit in self._limits.items() if limit.max_runs is not None}
        jobs = [self._job(row, able) for row in self._waiting]
        return {pk: at for pk, at in starts(jobs, Outlook(free, ends, teams, most)).items() if math.isfinite(at)}

    def _job(self, row: Row, able: list[Worker]) -> Job:
        assert self._lengths is not None
        return Job(
            row["pk"],
            row["project__team_id"],
            self._lengths.of(row),
            max((row["not_before"] - self._now).total_seconds(), 0.0),
            row["after_id"] if row["after__state"] != State.SUCCEEDED else None,
            frozenset(worker.pk for worker in able if worker.pool == row["pool"] and _fits(row, worker)),
        )

    def _why(self, row: Row, ahead: int, starts_in_s: float | None) -> str:
        wait = (row["not_before"] - self._now).total_seconds()
        pool = row["pool"]
        workers = [worker for worker in self._workers if worker.pool == pool]
        if row["after_id"] and row["after__state"] != State.SUCCEEDED:
            return _after_words(row)
        if _lacks_start(row):
            return "The checkpoint that it begins with is being looked for."
        if wait > 0:
            return (
                f"It starts again in {math.ceil(wait)} s."
                if row["fence"]
                else f"Scheduled to start in {duration(wait)}."
            )
        if pool in self._paused:
            return _paused_words(self._paused[pool])
        if not workers:
            return "No worker is online." if pool == "default" else f"No worker of the pool {pool} is online."
        return self._cannot(row, workers) or self._next(row, workers, ahead, starts_in_s)

    def _cannot(self, row: Row, workers: list[Worker]) -> str:
        """Why it could not even start if it were the only one."""
        if missing := _missing(row["labels"], workers):
            return f"No worker that is online has {missing}."
        workers = [worker for worker in workers if set(row["labels"]) <= set(worker.labels)]
        most = max(len(worker.devices) for worker in workers)
        if (wants := _wants(row, most > 0)) > most:
            has = (
                "No worker that could take it has a GPU"
                if not most
                else f"the largest worker that could take it has {most}"
            )
            return f"{has}." if not most else f"It needs {_gpus(wants)}; {has}."
        if all(worker.draining for worker in workers):
            return (
                "The worker that could take it is being drained."
                if len(workers) == 1
                else "All workers that could take it are being drained."
            )
        limit = self._limits.get(row["project__team_id"])
        if limit is None:
            return ""
        team = row["project__team__name"]
        if limit.max_runs is not None and self._runs[limit.team_id] >= limit.max_runs:
            return f"The team {team} has reached its limit of {limit.max_runs} run{_s(limit.max_runs)} at a time."
        if limit.max_gpus is not None and self._gpus[limit.team_id] + wants > limit.max_gpus:
            return f"The team {team} may have {_gpus(limit.max_gpus)} at a time; this needs {wants}."
        return ""

    def _next(self, row: Row, workers: list[Worker], ahead: int, starts_in_s: float | None) -> str:
        if ahead:
            return f"{ahead} run{_s(ahead)} before it."
        able = [worker for worker in workers if _fits(row, worker) and not worker.draining]
        free = [worker for worker in able if worker.pk not in self._busy]
        if not free:
            who = "the worker is" if len(able) == 1 else f"all {len(able)} workers are"
            until = f" for about {duration(starts_in_s)}" if starts_in_s else ""
            return f"It is next; {who} busy{until}."
        wants = _wants(row, bool(free[0].devices))
        left = max(sum((worker.host, device) not in self._taken for device in worker.devices) for worker in free)
        if wants > left:
            return f"It is next; it needs {_gpus(wants)}, and {left or 'none'} {'is' if left < 2 else 'are'} free."
        return "It is next, and a worker is free."


def place_of(run: Run) -> Place | None:
    """Of one waiting run; None when it does not wait any more."""
    return Line(run.pool).places().get(run.pk)


def _fits(row: Row, worker: Worker) -> bool:
    return set(row["labels"]) <= set(worker.labels) and _wants(row, bool(worker.devices)) <= len(worker.devices)


def _wants(row: Row, has_gpus: bool) -> int:
    return slots.wanted_of(row["gpus"], row["spec__trainer"] or {}, has_gpus)


def _missing(labels: list[str], workers: list[Worker]) -> str:
    """The labels that no worker has all of, in words; nothing when one has."""
    if any(set(labels) <= set(worker.labels) for worker in workers):
        return ""
    return f"the label{_s(len(labels))} {', '.join(labels)}"


def _after_words(row: Row) -> str:
    state = row["after__state"]
    words = f"It starts after run #{row['after__number']} has succeeded"
    if _lacks_start(row):
        words = f"It starts with the {row['after_checkpoint']} checkpoint of run #{row['after__number']} once that has succeeded"
    if state in (State.FAILED, State.CANCELLED):
        return f"{words}, which {State(state).label.lower()}: resume that one, or let this one start without it."
    return f"{words}, which is {State(state).label.lower()}."


def _lacks_start(row: Row) -> bool:
    return bool(row["after_checkpoint"]) and row["start_checkpoint_id"] is None


def _paused_words(pool: Pool) -> str:
    by = f" by {pool.paused_by}" if pool.paused_by else ""
    return f"The pool {pool.name} is paused{by}{f': “{pool.note}”' if pool.note else ''}."


def _gpus(count: int) -> str:
    return f"{count} GPU{_s(count)}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
