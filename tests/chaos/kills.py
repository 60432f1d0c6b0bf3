"""Runs whose trainers are killed at random moments, through the real supervisor, until they end; then what must hold.

A schedule follows from its seed: which recipe, when each attempt dies. `python -m tests.chaos trainer --seed N --run K`
plays one again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from django.db.models.functions import Now

from studio.runs import lease
from studio.runs.models import Run, State
from studio.worker.supervisor import Supervisor
from tests.chaos import mutants, oracle
from tests.chaos.oracle import Reference
from tests.chaos.pool import Kill, Pool, Standby, Warm
from tests.chaos.recipes import RECIPES
from tests.factories import make_run, make_worker

MOST_ATTEMPTS = 60
#: Operations on files of one attempt that saves all its checkpoints, roughly.
OPERATIONS = 130


@dataclass
class Story:
    """What became of one run."""

    number: int
    recipe: str
    plans: list[Kill | None] = field(default_factory=list)
    kills: int = 0
    resumed_from: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    def line(self) -> str:
        words = f"run {self.number} ({self.recipe}): {self.kills} kills, resumed from {self.resumed_from}"
        return words + ("; ".join(["", *self.broken]) if self.broken else "")


@contextmanager
def quick_supervisor() -> Iterator[None]:
    """Nothing rings, nothing waits long, and no number of restarts is too large."""
    from django.conf import settings

    with ExitStack() as stack:
        for name, value in {
            "POLL_S": 0.005,
            "IDLE_POLL_S": 0.005,
            "ORDERS_EVERY_S": 10.0,
            "OUTPUT_EVERY_S": 0.5,
        }.items():
            stack.enter_context(patch(f"studio.worker.supervisor.{name}", value))
        stack.enter_context(patch("studio.runs.queue._ring", lambda *args: None))
        stack.enter_context(patch("studio.runs.publish._add", lambda *args: None))
        stack.enter_context(patch("studio.tracking.publish.metrics", lambda *args: None))
        stack.enter_context(patch.object(lease, "CRASH_LOOP", 10**6))
        stack.enter_context(patch.object(settings, "MAX_RESTARTS", 10**6))
        yield


class Stage:
    """One warm process, one worker, and the unbroken run of each recipe."""

    def __init__(self, pool: Pool, references: dict[str, Reference] | None = None) -> None:
        self.pool, self.worker = pool, make_worker("chaos")
        self.references: dict[str, Reference] = {} if references is None else references

    def reference(self, recipe: str) -> Reference:
        if recipe not in self.references:
            run = new_run(recipe)
            spans: list[float] = []
            self.attempt(run, None, "", spans.append)
            assert run.state == State.SUCCEEDED, (run.reason, run.attempts.get().detail)
            found = oracle.points_of(run)
            points = {(name, step): value for name, step, value in found}
            assert len(points) == found.total()
            self.references[recipe] = Reference(points, oracle.weights_of(run), spans[0])
        return self.references[recipe]

    def attempt(self, run: Run, plan: Kill | None, mutant: str, told: Callable[[float], None]) -> bool:
        """One attempt under the real supervisor; whether it was killed."""
        attempt = lease.acquire(run.pk, self.worker)
        assert attempt is not None, run.state
        trainer = Warm(self.pool, plan, mutant, told)
        Supervisor(attempt, Standby(trainer)).run()  # type: ignore[arg-type]
        run.refresh_from_db()
        return trainer.poll() == -9


def new_run(recipe: str) -> Run:
    spec = RECIPES[recipe]
    return make_run(spec=json.loads(spec.to_json()), spec_hash=spec.hash)


def plan_of(chance: random.Random, duration_s: float, futile: int) -> Kill:
    """A moment of the attempt, or of its work on files. Later after attempts that got nowhere, or none would end."""
    if chance.random() < 0.3:
        return Kill(at_operation=chance.randint(1, OPERATIONS))
    return Kill(after_s=chance.uniform(0.0, 0.9 + 0.5 * futile) * duration_s)


def kill_one(stage: Stage, seed: int, number: int, *, mutant: str = "", recipe: str = "") -> Story:
    """One run from its start to its end, killed again and again."""
    chance = random.Random(f"{seed}-{number}")
    story = Story(number, recipe or chance.choice(list(RECIPES)))
    reference = stage.reference(story.recipe)
    began = time.monotonic()
    with mutants.applied(mutant, "supervisor"):
        run, futile, reached = new_run(story.recipe), 0, 0
        while run.state == State.QUEUED and len(story.plans) < MOST_ATTEMPTS:
            plan = plan_of(chance, reference.duration_s, futile)
            story.plans.append(plan)
            story.kills += stage.attempt(run, plan, mutant, lambda span: None)
            last = run.attempts.order_by("-fence")[0]
            if last.ready_at is not None:
                story.resumed_from.append(last.resume_step)
                if last.resume_step < reached:
                    story.broken.append(f"{oracle.LOST}: resumed from {last.resume_step}, {reached} was committed")
            newest = oracle.checkpoints.newest(run)
            futile = futile + 1 if newest is None or newest.step <= reached else 0
            reached = newest.step if newest is not None else 0
            story.broken += oracle.broken_after_kill(run, reference)
            if run.state == State.QUEUED:
                Run.objects.filter(pk=run.pk).update(not_before=Now())
        story.broken += oracle.broken_at_end(run, reference)
    story.duration_s = time.monotonic() - began
    return story


def found_out(stage: Stage, mutant: str, seed: int = 0, most_kills: int = 40, recipe: str = "") -> list[str]:
    """What broke first with a broken product; empty when `most_kills` did not show anything."""
    kills = number = 0
    while kills < most_kills:
        story = kill_one(stage, seed, number, mutant=mutant, recipe=recipe)
        kills, number = kills + story.kills, number + 1
        if story.broken:
            return story.broken
    return []
