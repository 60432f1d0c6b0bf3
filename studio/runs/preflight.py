"""Questions to a worker, before a run or about a checkpoint: asked, taken by one worker, answered, forgotten."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from studio.accounts.models import Project, User
from studio.registry.models import DatasetVersion, ModelVersion
from studio.runs import queue
from studio.runs.checkpoints import sha256_of
from studio.runs.crosscheck import Facts
from studio.runs.errors import RunError
from studio.runs.models import Checkpoint, Preflight, Run, Worker
from studio.runs.options import rate_option
from studio.runs.register import online
from trainer_core.spec import RunSpec

Stage = Preflight.Stage
LIMIT_S = 180.0  # of work; a question that takes longer is ended
RING_AGAIN_S, GONE_S = 10.0, LIMIT_S + 30.0
KEPT = timedelta(days=1)
MOST_OPEN, MOST = 5, 100


def ask(
    *,
    project: Project,
    user: User,
    kind: str,
    spec: RunSpec,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    pool: str = "default",
) -> Preflight:
    """Queue a question; RunError when the user has MOST_OPEN of them open."""
    known = {
        **asdict(Facts.of(dataset_version)),
        "dataset_version": dataset_version.pk,
        "rate": rate_option(model_version.option_specs),
    }
    return _queued(project=project, created_by=user, kind=kind, spec=spec.to_dict(), pool=pool, known=known)


def ask_about(*, checkpoint: Checkpoint, user: User, kind: str, given: dict[str, Any] | None = None) -> Preflight:
    """Queue a question about a checkpoint: `try`, with what it shall predict for, or `export`. RunError as for `ask`."""
    if not sha256_of(checkpoint):
        raise RunError("The files of this checkpoint are gone. Choose another one.")
    run = checkpoint.run
    return _queued(
        project=run.project, created_by=user, kind=kind, checkpoint=checkpoint, given=given or {}, pool=run.pool
    )


def _queued(**fields: Any) -> Preflight:
    is_open = Preflight.objects.filter(created_by=fields["created_by"], stage__in=(Stage.WAITING, Stage.WORKING))
    if is_open.count() >= MOST_OPEN:
        raise RunError(f"{MOST_OPEN} checks of yours wait already. Let one of them end first.")
    with transaction.atomic():
        made = Preflight.objects.create(**fields)
        queue.enqueue_preflight(made)
    return made


def take_next(worker: Worker, pool: str) -> Preflight | None:
    """The question that has waited longest in the pool, for this worker alone; none for one that is drained."""
    if Worker.objects.filter(pk=worker.pk, draining=True).exists():
        return None
    waiting = Preflight.objects.filter(stage=Stage.WAITING, pool=pool).order_by("pk")
    for pk in waiting.values_list("pk", flat=True)[:MOST_OPEN]:
        mine = Preflight.objects.filter(pk=pk, stage=Stage.WAITING)
        if mine.update(stage=Stage.WORKING, worker=worker, started_at=Now()):
            return Preflight.objects.get(pk=pk)
    return None


def settle(preflight: Preflight, result: dict[str, Any] | None, reason: str = "") -> bool:
    """Store the answer, or why there is none; False when it was given up meanwhile."""
    error = reason or ("" if result is None else str(result.get("error") or ""))
    fields = {"stage": Stage.FAILED if error else Stage.DONE, "reason": error[:2000], "result": result or {}}
    if not isinstance(preflight.given.get("what"), str) and "base64" in (preflight.given.get("what") or {}):
        fields["given"] = {}  # an image that somebody sent is not kept
    mine = Preflight.objects.filter(pk=preflight.pk, stage=Stage.WORKING)
    return bool(mine.update(**fields, ended_at=Now()))


def give_back(preflight: Preflight) -> None:
    """The worker shuts down: somebody else may answer."""
    mine = Preflight.objects.filter(pk=preflight.pk, stage=Stage.WORKING)
    if mine.update(stage=Stage.WAITING, worker=None, started_at=None):
        queue.enqueue_preflight(preflight, again=f"{time.time():.0f}")


def tidy() -> int:
    """Ring again for what waits, end what a worker has left, drop what is old. Returns how many were touched."""
    now = timezone.now()
    waiting = Preflight.objects.filter(stage=Stage.WAITING, created_at__lt=now - timedelta(seconds=RING_AGAIN_S))
    for one in waiting[:MOST]:
        queue.enqueue_preflight(one)
    left = Preflight.objects.filter(stage=Stage.WORKING, started_at__lt=now - timedelta(seconds=GONE_S))
    words = "The worker stopped answering. Ask again."
    ended = left.update(stage=Stage.FAILED, reason=words, ended_at=Now())
    return ended + Preflight.objects.filter(created_at__lt=now - KEPT).delete()[0]


def waiting_words(pool: str) -> str:
    """Why a question is not answered yet. At most two queries."""
    workers = [worker for worker in online().filter(pool=pool) if "runs" in worker.queues]
    if not workers:
        return "No worker is online."
    busy = Run.objects.held().filter(worker__in=workers).values("worker").distinct().count()
    return "Waiting for a worker…" if busy < len(workers) else "All workers are busy; it comes first when one is free."
