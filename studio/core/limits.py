"""How often somebody may ask, counted in Redis for all web processes together; when it is away, nobody is refused.

Log-in tries are not counted here but in the database (`accounts.tries`), which refuses when it is away.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from studio.core.redis import connection

log = logging.getLogger(__name__)


def wait_s(what: str, limit: int, window_s: int = 60) -> int:
    """Count one; 0 when it may go on, else the seconds until the window ends. One round trip."""
    key = f"limit:{what}"
    try:
        pipeline = connection().pipeline(transaction=False)
        pipeline.incr(key)
        pipeline.expire(key, window_s, nx=True)
        pipeline.ttl(key)
        count, _, left_s = pipeline.execute()
    except (RedisError, OSError):
        log.debug("requests are not counted: the server is away", exc_info=True)
        return 0
    return 0 if count <= limit else max(int(left_s), 1)
