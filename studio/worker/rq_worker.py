"""The worker process: RQ's loop, with the job inside this process and a trainer kept ready beside it.

RQ would start a process for each job, which costs 0.7 to 1.9 s and would lose the ready trainer. A dead worker is
found by its lease, not by RQ. It never imports torch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.utils.module_loading import import_string
from redis.exceptions import RedisError
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker, WorkerStatus

from studio.runs import register
from studio.runs.claim import may_start
from studio.runs.models import Worker
from studio.runs.queue import DEFAULT_POOL, open_queue
from studio.worker.standby import Standby
from studio.worker.system import machine_usage
from studio.worker.trainer import adopt_orphans, end_orphans
from studio.worker.transfer import Transfer

log = logging.getLogger(__name__)
BEAT_S = 5.0
SEND_S = (
    20.0  # after its last run, for what is being sent to the object store; what is not goes on with the next worker
)
LOOK_S = 3
_current: StudioWorker | None = None


def current() -> StudioWorker:
    """The worker of this process; RuntimeError outside of one."""
    if _current is None:
        raise RuntimeError("Runs are executed by `manage.py studio_worker`; this process is none.")
    return _current


class StudioWorker(SimpleWorker):
    """First SIGTERM or SIGINT: checkpoint the run, queue it again, and end. Second: at once."""

    max_connection_wait_time = 2.0

    def __init__(
        self,
        queue_names: list[str],
        *,
        name: str,
        pool: str = DEFAULT_POOL,
        standby: bool = True,
        devices: list[str] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        """`devices` are ids of the GPUs that it may give to runs; nothing for all that the machine shows."""
        queues = [open_queue(q, pool) for q in queue_names]
        super().__init__(queues, name=name, connection=queues[0].connection, serializer=JSONSerializer)
        self.row: Worker = register.register(name, queue_names, pool, devices=devices, labels=labels or [])
        first = {"CUDA_VISIBLE_DEVICES": str(self.row.devices[0])} if self.row.devices else None
        self.standby = Standby(first)
        self._wants_standby = standby
        self.transfer = Transfer()
        self._stops = 0
        self._ended = threading.Event()

    @property
    def is_stopping(self) -> bool:
        return self._stops > 0

    def stops_asked(self) -> int:
        """0 go on, 1 checkpoint and stop, 2 stop now."""
        return self._stops

    def work(self, *args: Any, **kwargs: Any) -> bool:
        global _current
        _current = self
        if self._wants_standby:
            adopt_orphans()
            if ended := end_orphans():
                log.warning("%s processes that an earlier worker had left behind were ended", ended)
            self.standby.refill()
        self.transfer.start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        try:
            return super().work(*args, **kwargs)
        finally:
            self._ended.set()
            self.transfer.close(SEND_S)
            self.standby.close()
            register.stopped(self.row)
            _current = None

    def _beat(self) -> None:
        """Tell database and queue that the worker lives, also during a run of many hours."""
        while not self._ended.wait(BEAT_S):
            try:
                register.heartbeat(self.row, machine_usage(self.row.devices) | self.transfer.state())
                self.heartbeat()
            except DatabaseError as error:
                log.warning("no heartbeat: %s", error)
            except (RedisError, OSError):
                log.debug("the queue is away", exc_info=True)
            finally:
                close_old_connections()

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stops += 1
        if self._stops == 1:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """RQ asks twice within a second to mean it; here the second signal is enough, also during a run."""
        self._stops += 1
        if self._stops > 2:
            super().request_force_stop(signum, frame)

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Wait for the bell, and look for oneself now and then: it may have rung for a worker that could not answer."""
        if not self._wants_standby:
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        while (found := super().dequeue_job_and_maintain_ttl(LOOK_S, LOOK_S)) is None and not self.is_stopping:
            self._look()
        return found

    def _look(self) -> None:
        """As a wake-up does, without one. A stop that is asked for meanwhile comes after the run, as it does in a job."""
        try:
            close_old_connections()
            if next(may_start(self.row, self.row.pool), None) is None:
                return
            self.set_state(WorkerStatus.BUSY)
            try:
                execute: Callable[[], Any] = import_string(settings.EXECUTE_JOB)
                execute()
            finally:
                self.set_state(WorkerStatus.IDLE)
        except DatabaseError as error:
            log.warning("the database does not answer (%s)", error)
        finally:
            close_old_connections()

    def perform_job(self, job: Job, queue: Queue, execution: Any) -> bool:
        close_old_connections()
        try:
            return super().perform_job(job, queue, execution)
        finally:
            close_old_connections()
