"""What open sockets may still hear: asked of the database for all sockets of a process together, again and again.

What was taken from somebody is silent within five seconds, whatever else is away. Mostly it is at once: a hint (see
`accounts.hints`) asks too, and so does the hub when it may have missed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from channels.db import database_sync_to_async

from studio.accounts.hints import STREAM
from studio.live import channels
from studio.live.channels import Channel
from studio.live.hub import Entry, hub

log = logging.getLogger(__name__)
EVERY_S = 3.0
APART_S = 0.25  # many hints at once are one question
_thread = ThreadPoolExecutor(1, thread_name_prefix="rights")  # its own: replays may keep theirs busy


class Open(Protocol):
    """A socket, as far as its rights go."""

    session_key: str | None

    def wanted(self) -> set[Channel]: ...

    async def keep(self, asked: set[Channel], seen: set[Channel] | None) -> None:
        """Of what was asked about it may hear `seen` only; None: its session has ended."""


class Rights:
    """Of one event loop."""

    def __init__(self) -> None:
        self._sockets: set[Open] = set()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, socket: Open) -> None:
        self._sockets.add(socket)
        if self._task is None or self._task.done():
            hub().add([STREAM], self._hint)
            self._task = asyncio.get_running_loop().create_task(self._look_again())

    def remove(self, socket: Open) -> None:
        self._sockets.discard(socket)
        if not self._sockets and self._task is not None:
            hub().remove([STREAM], self._hint)
            self._task.cancel()
            self._task = None

    def _hint(self, entries: list[Entry] | None) -> None:
        self._asked.set()

    async def _look_again(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._asked.wait()
            self._asked.clear()
            try:
                await self._look()
            except Exception:  # nothing may end this: the sockets would be heard for ever
                log.exception("the rights of open sockets could not be looked at; they are again in a moment")
            await asyncio.sleep(APART_S)

    async def _look(self) -> None:
        asked = [(socket, socket.wanted()) for socket in self._sockets]
        look = database_sync_to_async(channels.still_seen, thread_sensitive=False, executor=_thread)
        found = await look([(socket.session_key, wanted) for socket, wanted in asked])
        for (socket, wanted), seen in zip(asked, found, strict=True):
            if socket in self._sockets:
                await socket.keep(wanted, seen)


_rights: dict[int, Rights] = {}


def rights() -> Rights:
    """Those of the running event loop."""
    return _rights.setdefault(id(asyncio.get_running_loop()), Rights())
