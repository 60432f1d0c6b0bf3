"""Fills a project with three finished runs on real data: by the workers that run, else by one of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from studio.accounts.links import administrator
from studio.accounts.models import Project, User
from studio.accounts.projects import create_project
from studio.ops import data_dir, installation, redis_server
from studio.ops.children import Child
from studio.ops.supervisor import Supervisor
from studio.ops.up import prepare_database
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs.models import Run, State
from studio.runs.submit import submit_run

PROJECT = "Demo"
LIMIT_S = 1800.0


class DemoError(Exception):
    """The runs did not all succeed; the text says which and why."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One of the runs: names of built-in classes, options, and the metric by which it is told."""

    name: str
    model: str
    data: str
    max_epochs: int
    metric: str
    note: str


RUNS = (
    DemoRun(
        name="Digits with a small CNN",
        model="ImageCNN",
        data="Digits",
        max_epochs=12,
        metric="val_accuracy",
        note="1,797 handwritten digits, ten classes.",
    ),
    DemoRun(
        name="Tumours, benign or malignant",
        model="TabularMLP",
        data="BreastCancer",
        max_epochs=20,
        metric="val_accuracy",
        note="569 rows with 30 measurements each.",
    ),
    DemoRun(
        name="Sonnets, letter by letter",
        model="CharTransformer",
        data="TinyText",
        max_epochs=10,
        metric="val_loss",
        note="A small GPT that learns to write like Shakespeare; ten epochs are not enough for that.",
    ),
)


def fill_demo(say: Callable[[str], None]) -> Project:
    """Submit what is not there yet, wait for all, and return the project; DemoError when one does not succeed."""
    with _workers(say) as wait_until:
        user = administrator()
        project = _project(user)
        runs = [_run(project, user, wanted) for wanted in RUNS]
        told: set[int] = set()

        def all_settled() -> bool:
            for run, wanted in zip(runs, RUNS, strict=True):
                run.refresh_from_db()
                if run.is_settled and run.pk not in told:
                    told.add(run.pk)
                    say(f"  {wanted.name}: {_in_words(run, wanted.metric)}")
            return len(told) == len(runs)

        if not wait_until(all_settled):
            raise DemoError("Stopped. What is not finished goes on when workers run: python manage.py up")
    failed = [run for run in runs if run.state != State.SUCCEEDED]
    if failed:
        raise DemoError("; ".join(f"{run.name} {run.state}: {run.reason}" for run in failed))
    return project


def _project(user: User) -> Project:
    found = Project.objects.visible_to(user).filter(name=PROJECT, archived_at=None).order_by("pk").first()
    if found is not None:
        return found
    team = user.memberships.order_by("pk").first()
    if team is None:
        raise DemoError("There is no team yet. Start the studio, log in and make one: python manage.py up")
    return create_project(
        team=team.team, name=PROJECT, by=user, description="Three real runs on data that comes with the studio."
    )


def _run(project: Project, user: User, wanted: DemoRun) -> Run:
    """The run if it is there and did not fail, else a new one."""
    there = Run.objects.filter(project=project, name=wanted.name).exclude(state__in=(State.FAILED, State.CANCELLED))
    if found := there.first():
        return found
    return submit_run(
        project=project,
        user=user,
        model_version=_newest(ModelVersion.objects.filter(model__project=None, ref=wanted.model)),
        dataset_version=_newest(DatasetVersion.objects.filter(dataset__project=None, ref=wanted.data)),
        name=wanted.name,
        trainer={"max_epochs": wanted.max_epochs},
        seed=1,
        note=wanted.note,
    )


def _newest(versions: Any) -> Any:
    found = versions.order_by("-pk").first()
    if found is None:
        raise DemoError("The built-in models and datasets are missing. Look with: python manage.py doctor")
    return found


def _in_words(run: Run, metric: str) -> str:
    if run.state != State.SUCCEEDED:
        return f"{run.get_state_display().lower()}. {run.reason}"
    seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else 0.0
    value = run.summary.get(metric, {}).get("last")
    return f"succeeded in {seconds:.0f} s" + (f", {metric} {value:.3g}" if isinstance(value, int | float) else "")


@contextmanager
def _workers(say: Callable[[str], None]) -> Iterator[Callable[[Callable[[], bool]], bool]]:
    """Yield a function that waits until a condition holds while workers are there (false: a signal came first)."""
    if url := data_dir.holder().get("url"):
        say(f"The workers of {url} train three models:")
        yield _wait
        return
    data_dir.make_private()
    with data_dir.exclusively("demo"), Supervisor(say) as supervisor:
        if not settings.EXTERNAL_REDIS_URL:
            redis_server.end_leftover()
            supervisor.add(installation.queue_server())
        prepare_database()
        if supervisor.run(redis_server.answers, poll_s=0.05):
            child: Child
            for child in installation.workers(1, {"STUDIO_DATA_DIR": str(settings.DATA_DIR)}):
                supervisor.add(child)
            say("A worker trains three models:")
        yield lambda condition: supervisor.run(condition, poll_s=0.3)


def _wait(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise DemoError(f"The runs take longer than {LIMIT_S / 60:.0f} minutes; look at the project {PROJECT}.")
        time.sleep(0.3)
    return True
