"""A private project: somebody of the team whom it does not name gets from every route and socket what a stranger gets."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import transaction

from studio.accounts.models import Membership, Project, ProjectMember
from studio.live.routing import websocket
from studio.registry.models import Dataset, Model
from studio.reports.models import Report
from studio.runs.models import Run, State
from tests import factories
from tests.access.matrix import Route
from tests.access.people import People
from tests.access.test_matrix import ROUTES, ask, release
from tests.access.walk import sections

# What is about the team as a whole, of which the bystander is a member like any other: name it here.
OF_TEAM = {
    "team", "member-add", "member", "member-remove", "invite-create", "invite-revoke", "audit-log",
    "team-webhooks", "webhook-delete", "webhook-try", "webhook-take-over", "api:create_project",
    "team-storage", "team-storage-rules", "api:list_presets", "api:read_preset", "api:create_preset", "api:make_preset_default",
    "api:delete_preset", "run-defaults", "rule-set", "rule-remove", "preset-default", "preset-delete",
}  # fmt: skip
CANARY = "canary-of-the-private"


@dataclasses.dataclass(frozen=True)
class Team(People):
    """`bystander` is an editor of the team whom the private project does not name."""

    bystander: Any = None


@pytest.fixture
def team(people: People) -> Team:
    """The project and all that is in it are called by the canary; a run of it waits and another one trains."""
    bystander = factories.make_user("bystander")
    factories.make_member(people.team, bystander, "editor")
    Project.objects.filter(pk=people.project.pk).update(is_private=True, name=f"{CANARY} project")
    people.project.refresh_from_db()
    for named in (people.editor, people.viewer):
        ProjectMember.objects.create(project=people.project, user=named)
    factories.make_run(people.project)
    factories.make_run(people.project, state=State.RUNNING, worker=factories.make_worker())
    Report.objects.create(project=people.project, title="report", version=0)
    values = {field.name: getattr(people, field.name) for field in dataclasses.fields(People) if field.init}
    return Team(**values, bystander=bystander)


def marked(route: Route, team: Team) -> Route:
    """The same route about one set of objects, all of which have the canary in their names."""
    kwargs = route.make(team)
    query = route.query(team, kwargs) if route.query else ""
    data = route.data(team, kwargs) if route.data and route.method != "GET" else None
    for rows in (Run.objects, Model.objects, Dataset.objects):
        for row in rows.filter(project=team.project):  # type: ignore[attr-defined]
            type(row).objects.filter(pk=row.pk).update(name=f"{CANARY} {row.pk}")
    Report.objects.filter(project=team.project).update(title=f"{CANARY} report")
    return dataclasses.replace(
        route, make=lambda _: kwargs, query=lambda *_: query, data=(lambda *_: data) if data is not None else None
    )


def text_of(response: Any) -> str:
    """What it says; of a file its name."""
    said = "" if response.streaming else response.content.decode(errors="replace")
    return said + repr(response.headers)


def each(routes: list[Route], team: Team) -> Iterator[Route]:
    """One after the other, each about things of its own, which are gone before the next."""
    for route in routes:
        with transaction.atomic():
            yield marked(route, team)
            transaction.set_rollback(True)
        shutil.rmtree(settings.RUNS_DIR, ignore_errors=True)


@pytest.mark.django_db
@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__.rpartition(".")[2])
def test_others_of_the_team_find_nothing_of_it(team: Team, section: Any) -> None:
    wrong = []
    for route in each(getattr(section, "ROUTES", []), team):
        response = ask(team, "bystander", route)
        found, status = text_of(response), response.status_code
        if route.name in OF_TEAM:
            good = status != 404 and CANARY not in found
        elif route.expect["stranger"] == 404:
            good = status == 404 and CANARY not in found  # as to a stranger, whom test_matrix compares with the missing
        else:  # everybody's own; what a link opens is shown on purpose
            good = CANARY not in found or route.name.startswith("shared")
        if not good:
            wrong.append(f"{route}: {status} {found[:200]}")
        release(response)
    assert not wrong, "\n".join(["Is one of these about a team, so that OF_TEAM has to name it?", *wrong])


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["home", "queue", "project-list", "worker-list", "api:list_runs"])
def test_the_lists_do_show_it_to_those_whom_it_names_and_to_administrators(team: Team, name: str) -> None:
    route = marked(next(r for r in ROUTES if r.name == name and r.method == "GET"), team)
    for person in ("owner", "editor", "viewer"):
        assert CANARY in text_of(ask(team, person, route)), person


@pytest.mark.django_db
def test_who_is_named_has_the_role_of_the_team(team: Team) -> None:
    edit = next(r for r in ROUTES if r.name == "project-edit" and r.method == "GET")
    assert [ask(team, who, edit).status_code for who in ("owner", "editor", "viewer", "bystander")] == [
        200,
        200,
        403,
        404,
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
def test_nothing_of_it_is_heard_on_a_socket_also_not_after_it_became_private(team: Team) -> None:
    from studio.live.channels import still_seen

    run = Run.objects.filter(project=team.project).earliest("pk")
    session = team.client("bystander").cookies[settings.SESSION_COOKIE_NAME].value
    cookie = f"{settings.SESSION_COOKIE_NAME}={session}".encode()

    async def first_words(channel: str) -> Any:
        headers = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", cookie)]
        socket = WebsocketCommunicator(websocket, "/ws/live/", headers=headers)
        await socket.connect(timeout=10)
        await socket.send_json_to({"op": "sub", "ch": channel, "cursor": 0})
        await socket.send_json_to({"op": "ping"})
        said = await socket.receive_json_from(timeout=10)
        await socket.disconnect()
        return said

    wanted = [("run", run.pk), ("project", team.project.pk)]
    for kind, pk in wanted:
        channel = f"{kind}:{pk}"
        assert async_to_sync(first_words)(channel) == {"ch": channel, "op": "error", "code": 404}
    assert still_seen([(session, wanted)]) == [set()]
    ProjectMember.objects.create(project=team.project, user=team.bystander)
    assert still_seen([(session, wanted), (None, wanted), ("gone", wanted)]) == [set(wanted), None, None]
    Membership.objects.filter(user=team.bystander).delete()
    assert still_seen([(session, wanted)]) == [set()]
