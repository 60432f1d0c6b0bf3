"""What a wake-up does: take the next waiting run, and the next, until there is none."""

from __future__ import annotations

from typing import Any

from studio.runs.lease import acquire_next
from studio.worker.rq_worker import current
from studio.worker.supervisor import Supervisor


def execute_run(run_pk: int = 0) -> dict[str, Any]:
    """Execute waiting runs of the worker's pool; `run_pk` only says for whom the bell rang."""
    worker = current()
    executed = 0
    while not worker.is_stopping and (attempt := acquire_next(worker.row, worker.row.pool)) is not None:
        Supervisor(attempt, worker.standby, stops_asked=worker.stops_asked).run()
        executed += 1
    if not worker.is_stopping:
        worker.standby.refill()
    return {"executed": executed}
