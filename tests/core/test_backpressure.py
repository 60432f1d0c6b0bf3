"""A piece of a download waits until the connection can take it."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from studio.core.backpressure import Backpressure


class Request:
    """What daphne's request offers."""

    def __init__(self) -> None:
        self.channel: Any = object()
        self.producer: Any = None
        self.sent: list[Any] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None


async def handle_reply(request: Request, message: Any) -> None:
    if message["type"] == "http.response.body" and not message.get("more_body"):
        assert request.producer is None, "Twisted refuses to finish an answer with a producer"
    request.sent.append(message.get("body"))


async def download(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    for piece in (b"1", b"2", b"3"):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def full_after_the_first_piece(request: Request, message: Any) -> None:
    await handle_reply(request, message)
    if message.get("body") == b"1":
        request.producer.pauseProducing()


async def paused_download() -> tuple[Request, asyncio.Task[None]]:
    request = Request()
    send = functools.partial(full_after_the_first_piece, request)
    task = asyncio.create_task(Backpressure(download)({}, None, send))
    await turns()
    assert request.sent == [None, b"1"]
    return request, task


def test_it_pauses_and_goes_on_with_the_connection() -> None:
    async def scenario() -> None:
        request, task = await paused_download()
        request.producer.resumeProducing()
        await task
        assert request.sent == [None, b"1", b"2", b"3", b""]

    asyncio.run(scenario())


def test_a_reader_that_goes_away_ends_the_application() -> None:
    async def scenario() -> None:
        request, task = await paused_download()
        producer, request.channel, request.producer = request.producer, None, None
        producer.stopProducing()
        await asyncio.wait_for(task, 5)

    asyncio.run(scenario())


def test_a_fault_in_the_application_leaves_no_producer() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        raise ZeroDivisionError

    async def scenario() -> None:
        request = Request()
        with pytest.raises(ZeroDivisionError):
            await Backpressure(fails)({}, None, functools.partial(handle_reply, request))
        assert request.producer is None

    asyncio.run(scenario())


def test_a_server_that_paces_by_itself_is_left_alone() -> None:
    async def scenario() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message.get("body"))

        await Backpressure(download)({}, None, send)
        assert sent == [None, b"1", b"2", b"3", b""]

    asyncio.run(scenario())
