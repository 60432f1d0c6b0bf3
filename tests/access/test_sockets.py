"""Who may open which socket, from where, and hear what on it."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.conf import settings

from studio.live.routing import websocket
from tests.access.matrix import Socket
from tests.access.people import PEOPLE, People
from tests.access.walk import listed_sockets, real_sockets

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
SOCKETS = listed_sockets()
MEMBERS = ("owner", "editor", "viewer")
HOST = "testserver"


def test_every_socket_is_listed() -> None:
    assert {socket.path for socket in SOCKETS} == set(real_sockets())


def headers_of(people: People, person: str, origin: str | None) -> list[tuple[bytes, bytes]]:
    cookies = people.client(person).cookies
    cookie = f"{settings.SESSION_COOKIE_NAME}={cookies[settings.SESSION_COOKIE_NAME].value}" if cookies else ""
    found = {"host": HOST, "cookie": cookie, "origin": origin}
    return [(name.encode(), value.encode()) for name, value in found.items() if value]


async def connect(path: str, headers: list[tuple[bytes, bytes]]) -> tuple[WebsocketCommunicator, int]:
    """The socket, and 101 or the code with which it was closed."""
    communicator = WebsocketCommunicator(websocket, f"/{path}", headers=headers)
    connected, code = await communicator.connect(timeout=10)
    return communicator, 101 if connected else int(code or 0)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("socket", SOCKETS, ids=lambda s: s.path)
def test_each_person_is_let_in_or_not(people: People, socket: Socket, person: str) -> None:
    headers = headers_of(people, person, f"http://{HOST}")

    async def ask() -> int:
        communicator, code = await connect(socket.path, headers)
        await communicator.disconnect()
        return code

    assert async_to_sync(ask)() == socket.expect[person]


@pytest.mark.parametrize(
    "origin", [None, "null", "http://elsewhere.example", f"http://{HOST}:81", f"http://sub.{HOST}", f"http://{HOST}.x"]
)
@pytest.mark.parametrize("socket", SOCKETS, ids=lambda s: s.path)
def test_a_page_from_elsewhere_is_not_let_in(people: People, socket: Socket, origin: str | None) -> None:
    headers = headers_of(people, "owner", origin)

    async def ask() -> int:
        communicator, code = await connect(socket.path, headers)
        await communicator.disconnect()
        return code

    assert async_to_sync(ask)() != 101


@pytest.mark.parametrize("person", PEOPLE[:-1])
@pytest.mark.parametrize("socket", [s for s in SOCKETS if s.expect["owner"] == 101], ids=lambda s: s.path)
def test_only_members_hear_of_an_object(people: People, socket: Socket, person: str) -> None:
    headers, channels = headers_of(people, person, f"http://{HOST}"), socket.channels(people)
    missing = [f"{channel.partition(':')[0]}:{10**9}" for channel in channels]

    async def first_words(channel: str) -> Any:
        communicator, _ = await connect(socket.path, headers)
        await communicator.send_json_to({"op": "sub", "ch": channel, "cursor": 0})
        await communicator.send_json_to({"op": "ping"})
        said = await communicator.receive_json_from(timeout=10)
        await communicator.disconnect()
        return said

    refusal = {"op": "error", "code": 404}
    assert channels
    for channel in channels:
        said = async_to_sync(first_words)(channel)
        assert (said == {"ch": channel, **refusal}) == (person not in MEMBERS), said
    for channel in missing:
        assert async_to_sync(first_words)(channel) == {"ch": channel, **refusal}
