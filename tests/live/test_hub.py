"""The reader of a web process: what it has begun it ends."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from studio.live import hub as hubs
from studio.live.hub import Hub


class Connecting:
    """A connection on which nothing but the caller waits."""

    async def xadd(self, *_: Any, **__: Any) -> None:
        await asyncio.get_running_loop().create_future()


async def ring_and_collect(hub: Hub) -> int:
    hub._ring()
    await asyncio.sleep(0)
    gc.collect()
    # Others may come up as what earlier tests left is collected.
    waiting = {task for task in asyncio.all_tasks() if "_send_wake" in repr(task.get_coro())}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return len(waiting)


def test_a_wake_under_way_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost one left the streams of a new page unread until the blocking read ended by itself, after 15 s."""
    monkeypatch.setattr(hubs, "async_connection", Connecting)
    hub = Hub()
    hub._client = object()
    assert asyncio.run(ring_and_collect(hub)) == 1
    assert not hub._rings, "kept until its end, and no longer"
