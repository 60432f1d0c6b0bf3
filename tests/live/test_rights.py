"""An open socket hears nothing more once its user may not, and outlives a database that is away for a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.db import OperationalError

from studio.accounts.models import Membership, User
from studio.live import channels, consumer
from studio.live.routing import websocket
from studio.runs.models import Run
from tests.access.people import People
from tests.access.test_sockets import HOST, headers_of
from tests.live.frames import add, numbers

LIMIT_S = 30.0
AS_IT_IS = consumer.CHECK_EVERY_S, consumer.LOOK_EVERY_S


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CHECK_EVERY_S", 0.0), ("LOOK_EVERY_S", 0.02), ("AWAY_S", 0.02)):
        monkeypatch.setattr(consumer, name, value)


def listening(people: People, run: Run, meanwhile: Callable[[], Any], done: Callable[[Any], bool]) -> list[Any]:
    """What the viewer hears of the run (a close as its code) after `meanwhile`, until `done(what was heard last)`."""
    headers = headers_of(people, "viewer", f"http://{HOST}")

    async def listen() -> list[Any]:
        tab = WebsocketCommunicator(websocket, "/ws/live/", headers=headers)
        assert (await tab.connect(timeout=LIMIT_S))[0]
        await tab.send_json_to({"op": "sub", "ch": f"run:{run.pk}", "cursor": 0})
        heard: list[Any] = [await tab.receive_json_from(timeout=LIMIT_S)]  # its state: it is subscribed
        assert heard[0]["t"] == "s"
        await sync_to_async(meanwhile)()
        while not done(heard[-1]):
            output = await tab.receive_output(timeout=LIMIT_S)
            if output["type"] == "websocket.close":
                heard.append(output["code"])
                break
            heard.append(consumer.json.loads(output["text"]))
        await tab.disconnect()
        return heard

    return async_to_sync(listen)()


def test_somebody_who_leaves_the_team_hears_nothing_more(people: People, run: Run) -> None:
    def leave() -> None:
        Membership.objects.filter(user=people.viewer).delete()

    heard = listening(people, run, leave, lambda message: message.get("op") == "error")
    assert heard[-1] == {"ch": f"run:{run.pk}", "op": "error", "code": 403}


@pytest.mark.parametrize("end", ["signs out", "is shut out"])
def test_the_socket_of_somebody_without_a_session_is_closed(people: People, run: Run, end: str) -> None:
    def act() -> None:
        if end == "signs out":
            Session.objects.all().delete()
        else:
            User.objects.filter(pk=people.viewer.pk).update(is_active=False)

    assert listening(people, run, act, lambda message: False)[-1] == 4403


def test_a_database_that_is_away_for_a_moment_costs_no_point(
    people: People, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OperationalError("gone")] * 3)
    whole = channels.catch_up

    def away(*given: Any) -> Any:
        if error := next(failures, None):
            raise error
        return whole(*given)

    def break_and_add() -> None:
        monkeypatch.setattr(channels, "catch_up", away)
        add(run, 1, 3)
        monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)
        add(run, 4, 5)  # which only the database tells
        monkeypatch.undo()
        monkeypatch.setattr(channels, "catch_up", away)
        add(run, 6, 6)

    heard = listening(people, run, break_and_add, lambda message: message.get("c") == 6)
    assert numbers(heard) == [1, 2, 3, 4, 5, 6]
    assert next(failures, None) is None


def test_a_single_point_never_waits_and_many_are_sent_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(consumer.time, "monotonic", lambda: now)
    allowance, waits = consumer.Allowance(), []
    for _ in range(8):
        waits.append(allowance.wait_s())
        now += waits[-1]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert all(wait == pytest.approx(1 / consumer.SENDS_PER_S) for wait in waits[3:])
    now += 60.0
    waits = [allowance.wait_s() for _ in range(8)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3] > 0.0


def test_it_asks_often_enough_whether_somebody_still_may() -> None:
    assert sum(AS_IT_IS) <= 60.0
