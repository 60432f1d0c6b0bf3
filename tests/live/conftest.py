"""A real web server and queue server, and pages' sockets to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from websockets.sync.client import ClientConnection, connect

from studio.runs.models import Run, State
from tests.access.people import People, make_people
from tests.client.conftest import open_folder, server_process
from tests.factories import make_attempt, make_run

__all__ = ["open_folder", "server_process"]


@pytest.fixture
def people(transactional_db: None, redis_server: Any) -> People:
    return make_people()


@pytest.fixture
def run(people: People) -> Run:
    run = make_run(people.project, state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    return run


class Tab:
    """The socket of somebody's tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def subscribe(self, channel: str, cursor: int = 0) -> None:
        self.say(op="sub", ch=channel, cursor=cursor)

    def hear(self, limit_s: float = 60.0) -> dict[str, Any]:
        return json.loads(self.socket.recv(limit_s))

    def hear_until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """All messages up to the first wanted one, which is the last of them."""
        heard = [self.hear()]
        while not wanted(heard[-1]):
            heard.append(self.hear())
        return heard


@pytest.fixture
def open_tab(server_process: tuple[str, int], people: People) -> Iterator[Callable[..., Tab]]:
    tabs: list[Tab] = []

    def open_one(person: str = "viewer", **options: Any) -> Tab:
        cookie = people.client(person).cookies[settings.SESSION_COOKIE_NAME].value
        headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
        url = server_process[0]
        address = url.replace("http", "ws") + "/ws/live/"
        tabs.append(
            Tab(connect(address, origin=url, additional_headers=headers, proxy=None, close_timeout=1, **options))
        )  # type: ignore[arg-type]
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.socket.close()
