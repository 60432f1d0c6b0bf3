"""One reader of Redis a process: hands stream entries to the sockets that asked for them.

Redis is only a hint. While it is away, the hub says so and sockets catch up from the database by their cursors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from studio.core.redis import async_connection

log = logging.getLogger(__name__)
BLOCK_MS = 15_000
RETRY_S = (0.2, 0.5, 1.0, 2.0)
WAKE = "hub:wake"
Entry = tuple[str, str, dict[str, str]]  # stream, id, fields
Listener = Callable[[list[Entry] | None], None]


class Hub:
    """Listeners get lists of entries, in order; None means: entries may have been missed, look into the database."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._ids: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        self._wake_name = f"{WAKE}:{id(self)}"
        self._client: Any = None
        self._rings: set[asyncio.Task[None]] = set()  # a loop alone does not keep a task from being collected

    def add(self, streams: list[str], listener: Listener) -> None:
        """Listen to streams from now on."""
        for stream in streams:
            self._listeners.setdefault(stream, set()).add(listener)
            self._ids.setdefault(stream, "$")
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._read())
        else:
            self._ring()

    def remove(self, streams: list[str], listener: Listener) -> None:
        for stream in streams:
            found = self._listeners.get(stream)
            if found is not None:
                found.discard(listener)
                if not found:
                    del self._listeners[stream]
                    self._ids.pop(stream, None)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    def _ring(self) -> None:
        """End the blocking read, so that it begins again with the new streams."""
        if self._client is not None:
            ring = asyncio.get_running_loop().create_task(self._send_wake())
            self._rings.add(ring)
            ring.add_done_callback(self._rings.discard)

    async def _send_wake(self) -> None:
        client = async_connection()
        with contextlib.suppress(RedisError, OSError):
            await client.xadd(self._wake_name, {"x": "1"}, maxlen=1)
            await client.expire(self._wake_name, 60)
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()

    async def _read(self) -> None:
        failures = 0
        while self._listeners:
            client = async_connection()
            self._client = client
            try:
                await self._settle_ids(client)
                if failures:
                    self._tell_all_missed()
                    failures = 0
                while self._listeners:
                    await self._read_once(client)
            except asyncio.CancelledError:
                raise
            except (RedisError, OSError, ValueError) as error:
                log.info("the queue server does not answer (%s); pages catch up from the database", error)
                self._tell_all_missed()
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
            finally:
                self._client = None
                with contextlib.suppress(Exception):
                    await client.aclose()

    async def _settle_ids(self, client: Any) -> None:
        """`$` means the newest entry at the time of each read; an id of its own loses nothing between two reads."""
        for stream in [s for s, i in self._ids.items() if i == "$"]:
            newest = await client.xrevrange(stream, count=1)
            self._ids[stream] = _text(newest[0][0]) if newest else "0-0"
            # What was added between a page's look into the database and now is found by a second look.
            for listener in list(self._listeners.get(stream, ())):
                listener(None)
        self._ids.setdefault(self._wake_name, "0-0")

    async def _read_once(self, client: Any) -> None:
        await self._settle_ids(client)
        answer = await client.xread(dict(self._ids), block=BLOCK_MS, count=500)
        pairs = answer.items() if isinstance(answer, dict) else answer or []
        for stream_name, batch in pairs:
            stream = _text(stream_name)
            rows = (
                batch[0]
                if batch and isinstance(batch[0], list) and batch[0] and isinstance(batch[0][0], (tuple, list))
                else batch
            )
            entries: list[Entry] = [
                (stream, _text(row[0]), {_text(k): _text(v) for k, v in dict(row[1]).items()}) for row in rows
            ]
            if not entries or stream not in self._ids:
                continue
            self._ids[stream] = entries[-1][1]
            for listener in list(self._listeners.get(stream, ())):
                listener(entries)

    def _tell_all_missed(self) -> None:
        for listener in {one for found in self._listeners.values() for one in found}:
            listener(None)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_hubs: dict[int, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(id(loop))
    if found is None:
        found = _hubs[id(loop)] = Hub()
    return found
