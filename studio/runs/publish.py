"""Tells open pages that a run changed: best effort, since the database is the truth."""

from __future__ import annotations

import json
import logging
from typing import Any

from redis.exceptions import RedisError

from studio.core.redis import connection
from studio.runs import breakdown
from studio.runs.facts import progress_of, value_words
from studio.runs.models import Run

log = logging.getLogger(__name__)
KEEP = 200


def state(run: Run) -> None:
    """The run's state, reason and progress, to its own page and to the list of its project."""
    facts = facts_of(run)
    _add(f"run:{run.pk}:s", facts)
    _add(f"project:{run.project_id}:s", {"run": run.pk, **facts})


def queue() -> None:
    """That anything about the queue or the workers has changed; what it is, each page asks for itself."""
    _add("queue:0:s", {"run": 0})


def facts_of(run: Run) -> dict[str, Any]:
    """What a page shows of the run's state; also the answer to a fresh subscription."""
    now = progress_of(run)
    return {
        "state": run.state,
        "reason": run.reason,
        "outcome": run.outcome,
        "fence": run.fence,
        "progress": run.progress,
        "seq": run.last_seq,
        "shown": {
            "words": now.words,
            "fraction": now.fraction,
            "eta_s": now.eta_s,
            "value": value_words(run),
            "breakdown": breakdown.shown(run),
        },
    }


def _add(stream: str, facts: dict[str, Any]) -> None:
    try:
        connection().xadd(stream, {"d": json.dumps(facts)}, maxlen=KEEP, approximate=True)
    except (RedisError, OSError):
        log.debug("a hint to %s was not delivered", stream, exc_info=True)
