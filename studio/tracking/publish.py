"""Hands new points and log text to open pages, through the Redis stream of the run; best effort.

The stream's entry id is the frame's number, so the cursor of a page is the same for stream and database, and a writer
that has been superseded is refused by the stream itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from studio.core.redis import connection
from studio.tracking.models import MetricFrame
from trainer_core.events import MetricBlock

log = logging.getLogger(__name__)
KEEP = 2000
LIVE_S = 3600


def metrics(run_pk: int, fence: int, first_seq: int, blocks: Sequence[MetricBlock]) -> None:
    key = f"run:{run_pk}:m"
    try:
        pipe = connection().pipeline(transaction=False)
        for seq, block in enumerate(blocks, first_seq):
            pipe.xadd(key, {"d": dumps(frame_message(seq, fence, block))}, id=f"{seq}-0", maxlen=KEEP, approximate=True)
        pipe.expire(key, LIVE_S)
        pipe.execute()
    except (RedisError, OSError):
        log.debug("points of run %s were not handed to the stream", run_pk, exc_info=True)


def media(run_pk: int, seq: int) -> None:
    """That there are media up to this number; pages ask for them."""
    key = f"run:{run_pk}:f"
    try:
        pipe = connection().pipeline(transaction=False)
        pipe.xadd(key, {"c": seq}, maxlen=10, approximate=True)
        pipe.expire(key, LIVE_S)
        pipe.execute()
    except (RedisError, OSError):
        log.debug("media of run %s were not handed to the stream", run_pk, exc_info=True)


def log_text(run_pk: int, fence: int, offset: int, text: str) -> None:
    key = f"run:{run_pk}:l"
    try:
        pipe = connection().pipeline(transaction=False)
        pipe.xadd(key, {"o": offset, "f": fence, "d": text}, maxlen=500, approximate=True)
        pipe.expire(key, LIVE_S)
        pipe.execute()
    except (RedisError, OSError):
        log.debug("log of run %s was not handed to the stream", run_pk, exc_info=True)


def frame_message(seq: int, fence: int, block: MetricBlock) -> dict[str, Any]:
    """What a page gets for one frame."""
    return {
        "c": seq,
        "fence": fence,
        "names": list(block.names),
        "steps": [int(s) for s in block.steps],
        "epochs": list(block.epochs),
        "times": list(block.times),
        "values": [list(v) for v in block.values],
    }


def stored_message(frame: MetricFrame) -> dict[str, Any]:
    block = MetricBlock.from_columns(frame.names, frame.n, bytes(frame.data))
    return frame_message(frame.seq, frame.fence, block)


def dumps(message: dict[str, Any]) -> str:
    """Compact JSON; NaN and infinities as words."""
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False)
    except ValueError:
        from studio.tracking.ingest import json_number

        words = {
            **message,
            "values": [[json_number(v) for v in column] for column in message["values"]],
            "epochs": [json_number(v) for v in message["epochs"]],
        }
        return json.dumps(words, separators=(",", ":"), allow_nan=False)
