"""What pages have missed, read from the database once for all that ask for it in the same moment.

After a restart of the web process hundreds of pages come back with the same cursor at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from channels.db import database_sync_to_async

from studio.live import channels
from studio.tracking import publish

MOST_AT_ONCE = 4
Key = tuple[str, int, int]  # kind, pk, cursor
_threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="live")


@dataclass(frozen=True, slots=True)
class Replay:
    """`texts` go to the page as they are; then it knows everything up to `cursor`."""

    texts: list[str]
    cursor: int


async def in_database(function: Callable[..., Any], *args: Any) -> Any:
    """In one of a few threads, so that a slow query does not stall the sockets and many do not cost a thread each."""
    return await database_sync_to_async(function, thread_sensitive=False, executor=_threads)(*args)


class Replays:
    """Of one event loop."""

    def __init__(self) -> None:
        self._next: dict[Key, asyncio.Task[Replay]] = {}
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(self, kind: str, pk: int, cursor: int) -> Replay:
        """What is stored from this moment on: a reading that has begun already is not shared."""
        key = (kind, pk, cursor)
        if key not in self._next:
            self._next[key] = asyncio.get_running_loop().create_task(self._read(key))
        return await asyncio.shield(self._next[key])

    async def _read(self, key: Key) -> Replay:
        async with self._room:
            del self._next[key]
            return await in_database(read, *key)  # type: ignore[no-any-return]


def read(kind: str, pk: int, cursor: int) -> Replay:
    name = f"{kind}:{pk}"
    messages, reset = channels.catch_up(kind, pk, cursor)
    texts = [] if reset is None else [as_text({"ch": name, "op": "reset"})]
    cursor = cursor if reset is None else reset
    for message in messages:
        if message["t"] == "m":
            cursor = message["c"]
            texts.append(frames_text(name, cursor, [publish.dumps(frame) for frame in message["frames"]]))
        else:
            texts.append(as_text({"ch": name, **message}))
    return Replay(texts, cursor)


def as_text(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def frames_text(name: str, cursor: int, frames: list[str]) -> str:
    """A message with frames that are JSON already: hundreds of pages get the same, and only they look into it."""
    return f'{{"ch":"{name}","t":"m","c":{cursor},"frames":[{",".join(frames)}]}}'


_replays: dict[int, Replays] = {}


def replays() -> Replays:
    """Those of the running event loop."""
    return _replays.setdefault(id(asyncio.get_running_loop()), Replays())
