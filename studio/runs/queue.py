"""The doorbell: wakes a worker to look at the database. The only user of django_rq outside of `ops`.

A lost or doubled wake-up does no harm: workers take the next run from the database, and the reconciler rings again.
"""

from __future__ import annotations

import logging
from typing import Any

import django_rq
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError, InvalidJobOperation
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from studio.runs.models import Preflight, Run
from studio.runs.register import online

log = logging.getLogger(__name__)
DEFAULT_POOL = "default"
WAITING = (JobStatus.QUEUED, JobStatus.DEFERRED, JobStatus.SCHEDULED, JobStatus.READY_TO_ENQUEUE)


def open_queue(name: str, pool: str = DEFAULT_POOL) -> Queue:
    """The RQ queue `control`, or `runs` of a pool of workers; makes no request."""
    if name == "runs" and pool != DEFAULT_POOL:
        name = f"runs-{pool}"
    return Queue(name, connection=django_rq.get_connection("runs"), serializer=JSONSerializer)


def enqueue_run(run: Run, *, again: str = "") -> None:
    """Ring for this run once the transaction is committed; never raises for a queue that is away.

    `again` makes it another wake-up than the one that rang before.
    """
    job_id, pool = wake_up_id(run) + (f"-{again}" if again else ""), run.pool
    transaction.on_commit(lambda: _ring("runs", settings.EXECUTE_JOB, job_id, {"run_pk": run.pk}, pool))


def enqueue_preflight(preflight: Preflight, *, again: str = "") -> None:
    """The same for a question before a run: workers answer those before they take the next run."""
    job_id, pool = f"preflight-{preflight.pk}{f'-{again}' if again else ''}", preflight.pool
    transaction.on_commit(lambda: _ring("runs", settings.EXECUTE_JOB, job_id, {"run_pk": 0}, pool))


def enqueue_control(function: str, **ids: Any) -> None:
    """Ring for a short job (inspection, preview) by its dotted name, with primary keys only."""
    job_id = "-".join([function.rpartition(".")[2], *(f"{k}-{v}" for k, v in sorted(ids.items()))])
    transaction.on_commit(lambda: _ring("control", function, job_id, ids))


def wake_up_id(run: Run) -> str:
    """Name of the wake-up for the run's next attempt."""
    return f"run-{run.pk}-a{run.fence + 1}"


def waiting_ids(pool: str = DEFAULT_POOL) -> list[str]:
    """The wake-ups that no worker has answered yet; RedisError or OSError when the queue is away."""
    return list(open_queue("runs", pool).get_job_ids())


def _ring(queue_name: str, function: str, job_id: str, kwargs: dict[str, Any], pool: str = DEFAULT_POOL) -> None:
    try:
        queue = open_queue(queue_name, pool)
        job = queue.fetch_job(job_id)
        if job is not None:
            if _is_open(job):
                return
            job.delete()
        queue.enqueue_call(
            function, kwargs=kwargs, job_id=job_id, timeout=-1, result_ttl=60, failure_ttl=3600, unique=True
        )
    except DuplicateJobError:
        return
    except (RedisError, OSError):
        log.warning("the queue is away; %s is picked up by the reconciler", job_id)


def _is_open(job: Job) -> bool:
    """Whether it waits, or a worker that is alive is at it."""
    try:
        status = job.get_status()
    except InvalidJobOperation:
        return False
    if status == JobStatus.STARTED:
        return bool(online().filter(name=job.worker_name).exists())
    return status in WAITING
