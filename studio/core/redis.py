"""Connections to the Redis-compatible server; a socket timeout of None, since redis-py's 5 s kills idle readers."""

from __future__ import annotations

from functools import lru_cache

import redis
import redis.asyncio
from django.conf import settings


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """One shared synchronous client a process; short calls only."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=2)


def blocking_connection() -> redis.Redis:
    """A client of its own for blocking reads."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=None)


def async_connection() -> redis.asyncio.Redis:
    """A client for one event loop, for blocking reads."""
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=None)
