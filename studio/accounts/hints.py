"""A word to the web processes that somebody may do less than before, so that they look at open sockets at once.

Best effort: the database says who may what, and sockets are looked at every few seconds also without a word.
"""

from __future__ import annotations

import logging

from django.db import transaction
from redis.exceptions import RedisError

from studio.core.redis import connection

log = logging.getLogger(__name__)
STREAM = "rights"


def rights_changed() -> None:
    """Once the transaction that this is called in is committed; at once outside of one."""
    transaction.on_commit(_tell)


def _tell() -> None:
    try:
        connection().xadd(STREAM, {"x": "1"}, maxlen=1)
    except (RedisError, OSError):
        log.debug("a hint that rights have changed was not delivered", exc_info=True)
