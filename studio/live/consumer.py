"""The one socket of a tab: subscriptions with cursors, replay, then live; nothing is lost and nothing is trusted twice.

Messages are described in static/js/live.js, which is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import InterfaceError, OperationalError

from studio.live import channels
from studio.live.channels import Channel
from studio.live.hub import Entry, hub
from studio.live.replay import as_text, frames_text, in_database, replays
from studio.live.rights import rights

log = logging.getLogger(__name__)
SENDS_PER_S, SENDS_AT_ONCE = 10.0, 4.0
AWAY, AWAY_S = (OperationalError, InterfaceError), 1.0
MOST_CHANNELS = 100
MOST_WAITING, MOST_WAITING_CHARS = 2000, 4 << 20
MOST_TEXT = 64 << 10
Message = dict[str, Any]


class Subscription:
    """What one page wants of one channel: its cursor, and entries that wait to be sent."""

    def __init__(self, kind: str, pk: int, cursor: int) -> None:
        self.kind, self.pk, self.cursor = kind, pk, cursor
        self.name = f"{kind}:{pk}"
        self.waiting: list[Entry] = []
        self.waiting_chars = 0
        self.missed = True  # begin with what the database has

    def take(self, entries: list[Entry] | None) -> None:
        """From the hub. Too many waiting are dropped on purpose: the database has them."""
        if entries is not None:
            self.waiting.extend(entries)
            self.waiting_chars += sum(len(fields.get("d", "")) for _, _, fields in entries)
        if entries is None or len(self.waiting) > MOST_WAITING or self.waiting_chars > MOST_WAITING_CHARS:
            self.taken()
            self.missed = True

    def taken(self) -> list[Entry]:
        """What waits, which waits no longer."""
        entries, self.waiting, self.waiting_chars = self.waiting, [], 0
        return entries


class Allowance:
    """How often a page is sent something: SENDS_AT_ONCE times at once, SENDS_PER_S in the long run; so a single point
    never waits, and what comes faster is sent together."""

    def __init__(self) -> None:
        self._left, self._at = SENDS_AT_ONCE, time.monotonic()

    def wait_s(self) -> float:
        """Take one; how long to wait after it."""
        now = time.monotonic()
        self._left = min(SENDS_AT_ONCE, self._left + (now - self._at) * SENDS_PER_S) - 1.0
        self._at = now
        return max(0.0, (1.0 - self._left) / SENDS_PER_S)


class LiveConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self._subscriptions: dict[str, Subscription] = {}
        self._listeners: dict[str, Any] = {}
        self._wake = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        if not same_origin(self.scope) or not self.scope["user"].is_authenticated:
            await self.close(4403)
            return
        session = self.scope.get("session")
        self.session_key = session and session.session_key
        await self.accept()
        rights().add(self)
        self._sender = asyncio.create_task(self._send_loop())

    async def disconnect(self, code: int) -> None:
        rights().remove(self)
        for name in list(self._subscriptions):
            self._unsubscribe(name)
        if self._sender is not None:
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._sender

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = _parsed(text_data)
        if message is None:
            await self._say({"op": "error", "code": 400})
            return
        op, name = message.get("op"), str(message.get("ch", ""))[:40]
        if op == "ping":
            await self._say({"op": "pong"})
        elif op == "unsub":
            self._unsubscribe(name)
        elif op == "sub":
            await self._subscribe(name, message.get("cursor"))
        else:
            await self._say({"op": "error", "code": 400})

    async def _subscribe(self, name: str, cursor: Any) -> None:
        parsed = channels.parse(name)
        if parsed is None or len(self._subscriptions) >= MOST_CHANNELS:
            await self._say({"ch": name, "op": "error", "code": 404 if parsed is None else 429})
            return
        if not await in_database(channels.may_see, self.scope["user"], *parsed):
            await self._say({"ch": name, "op": "error", "code": 404})
            return
        self._unsubscribe(name)
        start = cursor if isinstance(cursor, int) and not isinstance(cursor, bool) and cursor >= 0 else 0
        subscription = Subscription(*parsed, start)

        def listener(entries: list[Entry] | None) -> None:
            subscription.take(entries)
            self._wake.set()

        self._subscriptions[name], self._listeners[name] = subscription, listener
        hub().add(channels.streams_of(*parsed), listener)
        self._wake.set()

    def _unsubscribe(self, name: str) -> None:
        subscription = self._subscriptions.pop(name, None)
        if subscription is not None:
            hub().remove(channels.streams_of(subscription.kind, subscription.pk), self._listeners.pop(name))

    async def _send_loop(self) -> None:
        """Everything that waits, as soon and as often as the allowance has it; the database may be away for a while."""
        allowance = Allowance()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                for subscription in list(self._subscriptions.values()):
                    if subscription.missed:
                        await self._replay(subscription)
                    if subscription.waiting:
                        await self._forward(subscription)
            except AWAY as error:
                log.warning("the database does not answer (%s); pages hear what they missed when it does", error)
                self._wake.set()
                await asyncio.sleep(AWAY_S)
            if wait_s := allowance.wait_s():
                await asyncio.sleep(wait_s)

    def wanted(self) -> set[Channel]:
        return {(one.kind, one.pk) for one in self._subscriptions.values()}

    async def keep(self, asked: set[Channel], seen: set[Channel] | None) -> None:
        """Somebody who has signed out, or does not see a project any more, hears nothing more (see `live.rights`)."""
        if seen is None:
            for name in list(self._subscriptions):
                self._unsubscribe(name)
            await self.close(4403)
            return
        for one in list(self._subscriptions.values()):
            if (one.kind, one.pk) in asked - seen:
                self._unsubscribe(one.name)
                await self._say({"ch": one.name, "op": "error", "code": 403})

    async def _replay(self, subscription: Subscription) -> None:
        subscription.missed = False
        try:
            found = await replays().ask(subscription.kind, subscription.pk, subscription.cursor)
        except AWAY:
            subscription.missed = True
            raise
        subscription.cursor = max(subscription.cursor, found.cursor)
        for text in found.texts:
            await self._send_text(text)

    async def _forward(self, subscription: Subscription) -> None:
        entries = subscription.taken()
        frames: list[str] = []
        state: Message | None = None
        changes: dict[Any, Message] = {}
        has_media = False
        for stream, entry_id, fields in entries:
            if stream.endswith(":m"):
                seq = int(entry_id.partition("-")[0])
                if seq <= subscription.cursor:
                    continue
                if seq > subscription.cursor + 1:  # a hole in the stream: the database has it
                    subscription.missed = True
                    self._wake.set()
                    break
                frames.append(fields["d"])
                subscription.cursor = seq
            elif stream.endswith(":l"):
                await self._say(
                    {
                        "ch": subscription.name,
                        "t": "log",
                        "o": int(fields["o"]),
                        "f": int(fields["f"]),
                        "d": fields["d"],
                    }
                )
            elif stream.endswith(":f"):
                has_media = True
            else:
                state = json.loads(fields["d"])
                changes[state.get("run")] = state
        if frames:
            await self._send_text(frames_text(subscription.name, subscription.cursor, frames))
        for change in changes.values():
            await self._say({"ch": subscription.name, "t": "s", "d": change})
        if has_media:
            await self._say({"ch": subscription.name, "t": "media"})

    async def _say(self, message: Message) -> None:
        await self._send_text(as_text(message))

    async def _send_text(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):
            await self.send(text_data=text)


def same_origin(scope: dict[str, Any]) -> bool:
    """The Origin header must be there and name the host and port that the request itself went to."""
    headers = dict(scope.get("headers", []))
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
    parts = urlsplit(origin)
    return bool(host) and parts.scheme in ("http", "https") and parts.netloc == host


def _parsed(text: str | None) -> Message | None:
    if text is None or len(text) > MOST_TEXT:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
