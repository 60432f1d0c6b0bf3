"""An open socket hears nothing more once its user may not, and outlives a database that is away for a moment."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone

from studio.accounts.members import change_member, remove_member
from studio.accounts.models import Membership, Project, ProjectMember, Role, User
from studio.accounts.projects import show_project
from studio.live import channels, consumer, rights
from studio.live.routing import websocket
from studio.runs.models import Run
from tests.access.people import People
from tests.access.test_sockets import HOST, headers_of
from tests.live.frames import add, numbers

LIMIT_S = 30.0
AS_IT_IS = rights.EVERY_S, rights.APART_S


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((rights, "EVERY_S"), (rights, "APART_S"), (consumer, "AWAY_S")):
        monkeypatch.setattr(module, name, 0.02)


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
    assert sum(AS_IT_IS) < 5.0


def test_one_look_tells_of_every_socket_what_it_may_hear(
    people: People, run: Run, django_assert_num_queries: Any
) -> None:
    """And costs the same for many as for one."""
    sessions = {who: people.client(who).cookies["studio_session"].value for who in ("owner", "viewer", "stranger")}
    run.project.is_private = True
    run.project.save()
    wanted: set[Any] = {("run", run.pk), ("project", run.project_id), ("run", 10**9), ("queue", 0)}
    of_project = wanted - {("run", 10**9)}
    asked: list[Any] = [(sessions[who], wanted) for who in sessions] * 30 + [(None, wanted), ("unknown", wanted)]
    with django_assert_num_queries(4):
        found = channels.still_seen(asked)
    assert found == [of_project, {("queue", 0)}, {("queue", 0)}] * 30 + [None, None]
    ProjectMember.objects.create(project=run.project, user=people.viewer)
    assert channels.still_seen([(sessions["viewer"], wanted)]) == [of_project]
    Session.objects.filter(session_key=sessions["owner"]).update(expire_date=timezone.now())
    assert channels.still_seen([(sessions["owner"], wanted)]) == [None]
    people.viewer.set_password("another one")
    people.viewer.save()
    assert channels.still_seen([(sessions["viewer"], wanted)]) == [None]


def is_refused(message: Any) -> bool:
    return bool(message.get("op") == "error")


def test_a_fault_while_it_looks_is_not_the_end_of_looking(
    people: People, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, failures, failed = channels.still_seen, iter([OperationalError("gone"), RuntimeError("odd")]), Event()

    def fails(asked: Any) -> Any:
        if error := next(failures, None):
            raise error
        failed.set()
        return whole(asked)

    def leave() -> None:
        monkeypatch.setattr(channels, "still_seen", fails)
        assert failed.wait(LIMIT_S)
        Membership.objects.filter(user=people.viewer).delete()

    assert listening(people, run, leave, is_refused)[-1]["code"] == 403


def remove(people: People) -> None:
    remove_member(membership=Membership.objects.get(user=people.viewer), by=people.owner)


def make_private(people: People) -> None:
    show_project(project=people.project, is_private=True, people=[], by=people.owner)


def lower_the_role(people: People) -> None:
    membership = Membership.objects.get(user=people.viewer)
    change_member(membership=membership, role=Role.VIEWER, may_run_code=False, by=people.owner)


@pytest.mark.parametrize("act", [remove, make_private, lower_the_role])
def test_a_hint_is_enough(
    people: People, run: Run, act: Callable[[People], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing asks by itself for an hour."""
    monkeypatch.setattr(rights, "EVERY_S", 3600.0)
    if act is lower_the_role:  # an administrator sees private projects
        Membership.objects.filter(user=people.viewer).update(role=Role.ADMIN)
        Project.objects.filter(pk=people.project.pk).update(is_private=True)
    assert listening(people, run, lambda: act(people), is_refused)[-1]["code"] == 403


def test_a_hint_that_may_have_been_missed_is_one(
    people: People, run: Run, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "EVERY_S", 3600.0)

    def leave_unheard() -> None:
        Membership.objects.filter(user=people.viewer).delete()
        for client in redis_server.client_list():
            if "xread" in client["cmd"]:
                redis_server.client_kill(client["addr"])

    assert listening(people, run, leave_unheard, is_refused)[-1]["code"] == 403
