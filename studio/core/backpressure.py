"""At the pace of whoever reads: the next piece of an answer or a socket waits until the last one has left the process.

daphne takes all that an application sends at once and keeps it in memory, so that one slow reader of a large file
costs as much memory as the file has bytes. Twisted, on which it runs, can say when to pause; here that is listened to.

An answer that ends before its last piece is broken off with its connection. daphne would leave the reader waiting, and
where an exception ended it, try to begin another answer: that fails, and daphne tidies up after no connection any more.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]


class Backpressure:
    """ASGI middleware around pages or sockets. With a server that paces by itself it does nothing."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        request = _twisted_request(send)
        if request is None:
            await self._application(scope, receive, send)
            return
        flow = (_SocketFlow if scope.get("type") == "websocket" else _Flow)(request, send)
        try:
            await self._application(scope, receive, flow.send)
        except Exception:
            if not flow.is_half_sent:
                raise
            log.exception("an answer to %s was broken off", scope.get("path"))
        finally:
            flow.end()
            if flow.is_half_sent:
                flow.abort()


class _Flow:
    """A push producer in Twisted's sense: told to pause when the connection's buffer is full, and to go on."""

    def __init__(self, request: Any, send: Send) -> None:
        self._request, self._send = request, send
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._is_registered = False
        self.is_half_sent = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_half_sent = True
        elif message["type"] == "http.response.body":
            self.is_half_sent = bool(message.get("more_body"))
            if message.get("more_body"):
                self._begin()
                await self._may_go_on.wait()
            else:
                self.end()
        await self._send(message)

    def _begin(self) -> None:
        if not self._is_registered and getattr(self._request, "channel", None) is not None:
            self._request.registerProducer(self, True)
            self._is_registered = True

    def end(self) -> None:
        """No more pieces follow; Twisted must know before the answer is finished."""
        if self._is_registered:
            self._is_registered = False
            if getattr(self._request, "channel", None) is not None:
                self._request.unregisterProducer()

    def abort(self) -> None:
        """Close the connection, so that the reader knows that this was not all."""
        channel = getattr(self._request, "channel", None)
        if channel is not None:
            transport = channel.transport
            getattr(transport, "abortConnection", transport.loseConnection)()

    def pauseProducing(self) -> None:
        self._may_go_on.clear()

    def resumeProducing(self) -> None:
        self._may_go_on.set()

    def stopProducing(self) -> None:
        """The reader went away: let the waiting piece through, which is dropped, so that the application ends."""
        self._may_go_on.set()


class _SocketFlow(_Flow):
    """The same for a socket, whose connection still has the HTTP channel that it came from for its producer."""

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self._begin()
            await self._may_go_on.wait()
        elif message["type"] == "websocket.close":
            self.end()
        await self._send(message)

    def _begin(self) -> None:
        if not self._is_registered:
            self._request.unregisterProducer()
            self._request.registerProducer(self, True)
            self._is_registered = True

    def end(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self._request.unregisterProducer()


def _twisted_request(send: Send) -> Any:
    """daphne gives each application `partial(server.handle_reply, request)`, for a socket its protocol; else None."""
    if isinstance(send, functools.partial) and send.args and hasattr(send.args[0], "registerProducer"):
        return send.args[0]
    return None
