"""A piece of a download waits until the connection can take it."""

from __future__ import annotations

import asyncio
import functools
from types import SimpleNamespace
from typing import Any

import pytest

from studio.core.backpressure import Backpressure


class Request:
    """What daphne's request offers."""

    def __init__(self) -> None:
        self.channel: Any = SimpleNamespace(transport=self)
        self.is_aborted = False
        self.producer: Any = None
        self.sent: list[Any] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        raise AssertionError("what is in the buffer would look like all of it")

    def abortConnection(self) -> None:
        self.is_aborted = True


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


@pytest.mark.parametrize("error", [ZeroDivisionError, None])
def test_an_answer_that_ends_in_the_middle_is_broken_off(error: type[Exception] | None) -> None:
    """daphne itself would try to begin another answer, and then tidy up after no connection any more."""

    async def ends(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        if error:
            raise error

    async def scenario() -> None:
        request = Request()
        await Backpressure(ends)({}, None, functools.partial(handle_reply, request))
        assert request.producer is None
        assert request.is_aborted

    asyncio.run(scenario())


def test_a_fault_before_the_answer_begins_is_the_servers_to_tell() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        request = Request()
        with pytest.raises(ZeroDivisionError):
            await Backpressure(fails)({}, None, functools.partial(handle_reply, request))
        assert not request.is_aborted

    asyncio.run(scenario())


def test_an_answer_that_is_whole_keeps_its_connection() -> None:
    async def scenario() -> None:
        request = Request()
        await Backpressure(download)({}, None, functools.partial(handle_reply, request))
        assert not request.is_aborted

    asyncio.run(scenario())


def test_a_server_that_paces_by_itself_is_left_alone() -> None:
    async def scenario() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message.get("body"))

        await Backpressure(download)({}, None, send)
        assert sent == [None, b"1", b"2", b"3", b""]

    asyncio.run(scenario())
