"""Pages that come back together share one look into the store, and none is given an older one than it asked for."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import async_to_sync

from studio.live import replay
from studio.live.replay import MOST_AT_ONCE, Replay, Replays

pytestmark = pytest.mark.django_db(transaction=True)  # its threads close their connections
LIMIT_S = 30.0


def test_many_with_the_same_cursor_cost_a_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(replay, "read", lambda kind, pk, cursor: (looks.append(cursor), Replay([], cursor))[1])

    async def storm() -> list[Replay]:
        shared = Replays()
        return await asyncio.gather(*(shared.ask("run", 1, i % 3) for i in range(300)))

    found = async_to_sync(storm)()
    assert [one.cursor for one in found] == [i % 3 for i in range(300)]
    assert sorted(looks) == [0, 1, 2]


def test_a_look_that_has_begun_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, stored = threading.Semaphore(0), threading.Event(), ["old"]

    def read(kind: str, pk: int, cursor: int) -> Replay:
        seen = list(stored)
        began.release()
        assert go_on.wait(LIMIT_S)
        return Replay(seen, cursor)

    monkeypatch.setattr(replay, "read", read)

    async def ask_twice() -> list[Replay]:
        shared = Replays()
        first = asyncio.create_task(shared.ask("run", 1, 0))
        assert await asyncio.to_thread(began.acquire, timeout=LIMIT_S)
        stored.append("new")
        second = asyncio.create_task(shared.ask("run", 1, 0))
        assert await asyncio.to_thread(began.acquire, timeout=LIMIT_S)
        go_on.set()
        return await asyncio.gather(first, second)

    assert [one.texts for one in async_to_sync(ask_twice)()] == [["old"], ["old", "new"]]


def test_a_storm_takes_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    monkeypatch.setattr(replay, "read", lambda *key: (threads.add(threading.get_ident()), Replay([], 0))[1])

    async def storm() -> None:
        shared = Replays()
        await asyncio.gather(*(shared.ask("run", pk, 0) for pk in range(100)))

    async_to_sync(storm)()
    assert len(threads) <= MOST_AT_ONCE
