"""The studio's own functions, taken along a path of the model: after each step both must agree, in all that counts.

Points are written all along. What a chart would show is compared with the plainest rule there is: resuming deletes
what came after the checkpoint.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from studio.runs import lease, reap, slots
from studio.runs.cancel import request_cancel, request_pause, request_resume
from studio.runs.checkpoints import commit_checkpoint
from studio.runs.errors import StaleState
from studio.runs.models import HELD, Checkpoint, GpuClaim, Pool, Run, RunEvent, State, Worker
from studio.runs.states import TRANSITIONS
from studio.tracking.ingest import ingest
from studio.tracking.logs import append_log
from studio.tracking.query import series
from tests.factories import make_run, make_worker
from tests.protocol.model import HELD as MODEL_HELD
from tests.protocol.model import QUEUED, RUNNING, Machine, holder_writes, steps
from trainer_core.events import MetricBlock, Position

Seen = Counter[tuple[str, str]]
Path = list[tuple[str, Machine]]


def walk(dice: random.Random, length: int, seen: Seen, *, one_gpu: bool = False) -> Iterator[tuple[str, Machine]]:
    """A path of the model that prefers what was seen least: (action, the machine after it)."""
    machine = Machine(orders=length)
    for _ in range(length):
        choices = list(steps(machine, most=30, one_gpu=one_gpu, gates=True))
        if not choices:
            return
        least = min(seen[kind(name, machine)] for name, _ in choices)
        name, after = dice.choice([c for c in choices if seen[kind(c[0], machine)] <= least + 1])
        seen[kind(name, machine)] += 1
        yield name, after
        machine = after


def follow(names: list[str]) -> Path:
    """The path of the model with these actions; AssertionError when it does not allow one."""
    path: Path = []
    machine = Machine(orders=len(names))
    for name in names:
        allowed = dict(steps(machine, most=30))
        assert name in allowed, f"the model does not allow {name!r}; it allows {sorted(allowed)}"
        path.append((name, machine := allowed[name]))
    return path


def kind(name: str, machine: Machine) -> tuple[str, str]:
    """What an action is, whoever does it, in the state where it happens."""
    return name.rstrip("0123456789 "), machine.state


class Studio:
    """One run and two workers in the database."""

    def __init__(self, dice: random.Random, one_gpu: bool = False) -> None:
        self.dice = dice
        Run.objects.update(state=State.CANCELLED, lease_until=None)  # those of earlier paths are out of the way
        Pool.objects.all().delete()
        GpuClaim.objects.all().delete()
        self.run: Run = make_run()
        self.one_gpu = one_gpu
        self.workers = [self._worker(), self._worker()]
        self.step = 0
        self.shown: dict[int, float] = {}
        self.places: Counter[int] = Counter()
        self.refused: set[tuple[int, str]] = set()

    def _worker(self) -> Worker:
        return make_worker(devices=["0"] if self.one_gpu else [], pid=os.getpid())

    def apply(self, name: str, before: Machine) -> None:
        """Do what the action means; AssertionError when the studio does not let it happen."""
        verb, *who = name.split(" ", 1)[1].split() if name[0] == "T" else name.split()
        fence = before.workers[int(who[0])].fence if who and who[0].isdigit() else 0
        run = Run.objects.get(pk=self.run.pk)
        if verb in ("cancel", "pause", "resume"):
            {"cancel": request_cancel, "pause": request_pause, "resume": request_resume}[verb](run=run, user=None)
        elif name == "lease runs out":
            Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=settings.LEASE_GRACE_S + 1))
        elif verb == "reap":
            assert reap.reap_lost() == 1
            self._time_passes()
        elif verb in ("shut", "open"):
            Pool.objects.update_or_create(name="default", defaults={"paused_at": Now() if verb == "shut" else None})
        elif verb == "overtime":
            lease.overtime(run.pk, fence, "Its time is over.")
        elif verb == "acquire":
            taken = lease.acquire_next(self.workers[int(who[0])])
            assert taken is not None and taken.run_id == run.pk
        elif verb == "ready":
            self._ready(fence)
        elif name[0] == "T" and verb in ENDS:
            lease.settle(run.pk, fence, outcome=ENDS[verb], reason=f"{verb}.")
            self._time_passes()
        elif verb == "beat":
            assert lease.beat(run.pk, fence) == lease.Held(run.state)
            if before.state == RUNNING:
                self._train(fence)
        elif verb == "checkpoint":
            self._save(fence)
        elif verb == "self-stop":
            self.assert_refused(fence)
            slots.let_go(run.pk, fence)
        elif verb == "kill":
            Worker.objects.filter(pk=self.workers[int(who[0])].pk).update(stopped_at=Now())
        elif verb == "restart":
            self.workers[int(who[0])] = self._worker()

    def _time_passes(self) -> None:
        Run.objects.filter(pk=self.run.pk).update(not_before=Now())

    def _ready(self, fence: int) -> None:
        usable = Checkpoint.objects.filter(run=self.run).usable().order_by("-step", "-fence")
        found = [0, *usable.values_list("step", flat=True)[:2]]
        self.step = found[-1 if self.dice.random() < 0.3 else min(1, len(found) - 1)]
        lease.ready(self.run.pk, fence, self.step)
        self.shown = {s: v for s, v in self.shown.items() if s <= self.step}

    def _train(self, fence: int) -> None:
        """Some steps, told in pieces; a piece may come twice, and may begin before the step that was resumed from."""
        rows = range(self.step + 1, self.step + 1 + self.dice.randint(1, 4))
        resumed = self.run.attempts.get(fence=fence).resume_step
        early = [s for s in (resumed - 1, resumed) if s > 0] if self.dice.random() < 0.3 else []
        block = MetricBlock.from_rows(["loss"], [(s, 0.0, 0.0, [value(fence, s)]) for s in (*early, *rows)])
        self.places[fence] += 1
        for _ in range(self.dice.choice((1, 1, 2))):
            ingest(self.run.pk, fence, [block], Position(1, self.places[fence]))
        self.step = rows[-1]
        self.shown |= {s: value(fence, s) for s in rows}
        if self.dice.random() < 0.4:
            self._save(fence)

    def _save(self, fence: int) -> None:
        commit_checkpoint(self.run.pk, fence, checkpoint_event(self.step, fence))

    def assert_refused(self, fence: int) -> None:
        """Whatever an attempt that does not hold the run writes is refused, and nothing of it is there."""
        pk, before = self.run.pk, self._rows()
        assert lease.beat(pk, fence) is None
        assert lease.state_of(pk, fence) is None
        assert lease.report_progress(pk, fence, {"step": -1}) is False
        block = MetricBlock.from_rows(["loss"], [(999.0, 0.0, 0.0, [1.0])])
        writes: list[Callable[[], Any]] = [
            lambda: lease.ready(pk, fence, 0),
            lambda: lease.note(pk, fence, "notice", "late"),
            lambda: lease.settle(pk, fence, outcome="ok", reason="late"),
            lambda: commit_checkpoint(pk, fence, checkpoint_event(999, fence)),
            lambda: ingest(pk, fence, [block], Position(9, 9)),
            lambda: append_log(pk, fence, 0, b"late"),
        ]
        for write in writes:
            try:
                write()
            except StaleState:
                continue
            raise AssertionError(f"a write of attempt {fence}, which does not hold the run, was accepted")
        assert self._rows() == before

    def _rows(self) -> list[Any]:
        run = Run.objects.filter(pk=self.run.pk).values().get()
        return [run, *(list(getattr(self.run, kind).values()) for kind in TABLES)]

    def assert_agrees(self, machine: Machine) -> None:
        """State, attempt, budget and lease are the model's; what is shown is what the plain rule keeps."""
        run = Run.objects.get(pk=self.run.pk)
        assert (run.state, run.fence) == (machine.state, machine.fence)
        assert settings.MAX_RESTARTS - run.restarts == machine.budget
        if machine.state in MODEL_HELD:
            assert run.lease_until is not None
            assert (run.lease_until > timezone.now()) == machine.leased
        else:
            assert run.state not in HELD
            assert run.lease_until is None
        if self.one_gpu:
            self._assert_gpu(machine)
        for worker in machine.workers:
            tried = (worker.fence, machine.state)
            if worker.fence and not holder_writes(machine, worker) and tried not in self.refused:
                self.assert_refused(worker.fence)
                self.refused.add(tried)
        found = series([run.pk])["runs"][0]["series"]
        points = list(zip(found[0]["x"], found[0]["last"], strict=True)) if found else []
        assert points == sorted(self.shown.items())
        best = max(self.shown.values(), default=None)
        assert run.summary.get("loss", {}).get("max") == best

    def _assert_gpu(self, machine: Machine) -> None:
        """Who may take the run gets the GPU; who may not, because another has it, gets nothing."""
        claimed = set(GpuClaim.objects.values_list("fence", flat=True))
        assert claimed >= ({machine.gpu} - {0}), f"attempt {machine.gpu} has the GPU, claimed by {claimed}"
        if machine.state == QUEUED and machine.gpu and not machine.shut:
            assert lease.acquire_next(self.workers[0]) is None

    def assert_history(self) -> None:
        """The events are one unbroken path of the protocol's rules, and each attempt has its row."""
        path = list(RunEvent.objects.filter(run=self.run, kind="state").values_list("from_state", "to_state"))
        assert all(before[1] == after[0] for before, after in zip(path, path[1:], strict=False))
        assert all(to in TRANSITIONS[start] for start, to in path)
        assert list(self.run.attempts.values_list("fence", flat=True)) == list(range(1, self.run.attempts.count() + 1))


ENDS = {
    "finish": "ok", "fail": "user_error", "restart": "infra", "preempted": "preempted", "paused": "cancelled",
    "cancelled": "cancelled",
}  # fmt: skip
TABLES = ("attempts", "events", "checkpoints", "frames", "log_chunks")


def value(fence: int, step: int) -> float:
    """Tells which attempt wrote a point."""
    return fence + step / 1000


def checkpoint_event(step: int, fence: int) -> dict[str, Any]:
    name = f"step-{step:08d}-f{fence}"
    return {"step": step, "epoch": 1, "name": name, "manifest_sha256": "a" * 64, "size_bytes": 10}
