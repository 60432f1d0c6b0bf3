"""Who may use the pages of signing in, accounts, teams and projects."""

from __future__ import annotations

from typing import Any

from studio.accounts.invites import create_invite
from studio.accounts.links import make_login_link
from studio.accounts.models import Invite, Role
from studio.accounts.tokens import create_token
from tests.access.matrix import Route, administers, edits, nothing, public, reads, signed_in
from tests.access.people import People
from tests.factories import PASSWORD, make_member, make_team


def a_team(people: People) -> dict[str, Any]:
    return {"pk": people.team.pk}


def a_project(people: People) -> dict[str, Any]:
    return {"pk": people.project.pk}


def a_member(people: People) -> dict[str, Any]:
    return {"pk": make_member(people.team).pk}


def an_invite(people: People) -> dict[str, Any]:
    create_invite(team=people.team, role=Role.VIEWER, by=people.owner)
    return {"pk": Invite.objects.latest("pk").pk}


def a_colleague(people: People, kwargs: dict[str, Any]) -> dict[str, str]:
    """Somebody who is in another team of the owner."""
    other = make_member(make_team(admin=people.owner))
    return {"username": other.user.username, "role": "viewer"}


def a_link(people: People) -> dict[str, Any]:
    return {"token": make_login_link(people.viewer)}


def an_open_invite(people: People) -> dict[str, Any]:
    return {"token": create_invite(team=people.team, role=Role.VIEWER, by=people.owner)}


def a_token_of_the_owner(people: People) -> dict[str, Any]:
    return {"pk": create_token(user=people.owner, name="notebook")[0].pk}


def for_owner_only(name: str, make: Any) -> Route:
    expect = {"owner": 302, "editor": 404, "viewer": 404, "stranger": 404, "anonymous": 302}
    return Route(name, make, "POST", expect)


ROUTES = [
    Route("login", nothing, "GET", {"owner": 302, "editor": 302, "viewer": 302, "stranger": 302, "anonymous": 200}),
    public("login", method="POST", ok=302, data=lambda p, kwargs: {"username": "owner", "password": PASSWORD}),
    public("login-link", a_link),
    public("login-link", a_link, method="POST", ok=302),
    signed_in("logout", method="POST", ok=302),
    public("join", an_open_invite),
    Route(
        "join",
        an_open_invite,
        "POST",
        dict.fromkeys(("owner", "editor", "viewer", "stranger", "anonymous"), 302),
        data=lambda p, kwargs: {"username": "newcomer", "password": PASSWORD, "again": PASSWORD},
    ),
    signed_in("account"),
    signed_in("account", method="POST", ok=302, data=lambda p, kwargs: {"theme": "dark"}),
    signed_in("theme", method="POST", ok=302, data=lambda p, kwargs: {"theme": "dark"}),
    signed_in(
        "password",
        method="POST",
        ok=302,
        data=lambda p, kwargs: {"current": PASSWORD, "password": PASSWORD + "!", "again": PASSWORD + "!"},
    ),
    signed_in("token-create", method="POST", data=lambda p, kwargs: {"name": "a", "scope": "read", "days": "30"}),
    for_owner_only("token-revoke", a_token_of_the_owner),
    signed_in("team-create"),
    signed_in("team-create", method="POST", ok=302, data=lambda p, kwargs: {"name": "Second"}),
    reads("team", a_team),
    administers("member-add", a_team, data=a_colleague),
    administers("invite-create", a_team, ok=200, data=lambda p, kwargs: {"role": "viewer", "days": "7"}),
    administers("audit-log", a_team, method="GET", ok=200),
    administers("member", a_member, data=lambda p, kwargs: {"role": "editor"}),
    administers("member-remove", a_member),
    administers("invite-revoke", an_invite),
    signed_in("project-list"),
    signed_in("project-create"),
    Route(
        "project-create",
        nothing,
        "POST",
        {"owner": 302, "editor": 302, "viewer": 200, "stranger": 200, "anonymous": 302},
        data=lambda p, kwargs: {"team": p.team.pk, "name": "Another", "visibility": "team"},
    ),
    edits("project-edit", a_project, method="GET", ok=200),
    edits("project-edit", a_project, data=lambda p, kwargs: {"name": "Renamed", "visibility": "team"}),
    administers("project-archive", a_project),
]
