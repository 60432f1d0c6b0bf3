"""What a wake-up does: take the next waiting run, and the next, until there is none."""

from __future__ import annotations

from typing import Any

from studio.runs import preflight
from studio.runs.lease import acquire_next
from studio.worker import preflights
from studio.worker.rq_worker import current
from studio.worker.supervisor import Supervisor


def execute_run(run_pk: int = 0) -> dict[str, Any]:
    """Execute waiting runs of the worker's pool; `run_pk` only says for whom the bell rang.

    Questions before a run are answered first: somebody waits for them, and they take seconds.
    """
    worker = current()
    executed = 0
    while not worker.is_stopping:
        if asked := preflight.take_next(worker.row, worker.row.pool):
            preflights.answer(asked, worker.standby, stops_asked=worker.stops_asked)
            worker.standby.refill()
            continue
        if (attempt := acquire_next(worker.row, worker.row.pool)) is None:
            break
        Supervisor(attempt, worker.standby, stops_asked=worker.stops_asked, transfer=worker.transfer).run()
        executed += 1
    if not worker.is_stopping:
        worker.standby.refill()
    return {"executed": executed}
