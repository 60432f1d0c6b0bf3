"""What an access test says about a route, in one line: who gets which answer.

A file `tests/access/routes_<app>.py` holds the list ROUTES of its app (and SOCKETS). `test_matrix.py` asks every route
as every person and fails on a route that nobody listed.

    ROUTES = [
        reads("run", lambda p: {"pk": make_run(p.project).pk}),                     # members 200, others 404
        edits("run-cancel", lambda p: {"pk": make_run(p.project).pk}),              # POST: viewer 403, editor 302
        edits("run-create", in_project, data=lambda p: {...}, ok=302),
    ]

The maker gets the people (tests/access/people.py) and makes what the route is about, inside `p.project`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.access.people import PEOPLE, People

Maker = Callable[[People], dict[str, Any]]
Data = Callable[[People, dict[str, Any]], Any]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# The log-in page for a page that was asked for, 401 for what only scripts send.
SIGNED_OUT = {"GET": 302, "POST": 302, "PUT": 401, "PATCH": 401, "DELETE": 401}


@dataclass(frozen=True)
class Route:
    """`expect` has a status for each of the five people. `data` makes the body; dicts go as a form, or as JSON.

    `guarded` is False for what changes nothing of anybody and so needs no CSRF token.
    """

    name: str
    make: Maker
    method: str
    expect: Mapping[str, int]
    data: Data | None = None
    query: Callable[[People, dict[str, Any]], str] | None = None
    json: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    guarded: bool = True

    def __post_init__(self) -> None:
        assert self.method in METHODS
        assert set(self.expect) == set(PEOPLE), f"{self.name}: say what {PEOPLE} get"

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


@dataclass(frozen=True)
class Socket:
    """`path` as in the channels router; `expect` says 101 (accepted) or the code of the close for each person.

    `channels` names, for one set of people, what members of the team may subscribe to on it.
    """

    path: str
    expect: Mapping[str, int]
    channels: Callable[[People], list[str]] = lambda people: []


def nothing(people: People) -> dict[str, Any]:
    return {}


def in_project(people: People) -> dict[str, Any]:
    return {"project_pk": people.project.pk}


def reads(name: str, make: Maker = nothing, *, ok: int = 200, method: str = "GET", **options: Any) -> Route:
    """What every member of the team may."""
    return _team_route(name, make, method, ("owner", "editor", "viewer"), ok, options)


def edits(name: str, make: Maker = nothing, *, ok: int = 302, method: str = "POST", **options: Any) -> Route:
    """What editors and administrators may do."""
    return _team_route(name, make, method, ("owner", "editor"), ok, options)


def administers(name: str, make: Maker = nothing, *, ok: int = 302, method: str = "POST", **options: Any) -> Route:
    """What administrators may do."""
    return _team_route(name, make, method, ("owner",), ok, options)


def signed_in(name: str, make: Maker = nothing, *, ok: int = 200, method: str = "GET", **options: Any) -> Route:
    """What is everybody's own: the same for all who are signed in."""
    people = ("owner", "editor", "viewer", "stranger")
    expect = dict.fromkeys(people, ok) | {"anonymous": options.pop("anonymous", SIGNED_OUT[method])}
    return Route(name, make, method, expect, **options)


def administers_studio(name: str, make: Maker = nothing, *, method: str = "POST", **options: Any) -> Route:
    """What belongs to no team: for administrators of the studio alone, of whom none is among the five people."""
    return signed_in(name, make, ok=403, method=method, **options)


def public(name: str, make: Maker = nothing, *, ok: int = 200, method: str = "GET", **options: Any) -> Route:
    """Open to everybody, on purpose."""
    return Route(name, make, method, dict.fromkeys(PEOPLE, ok), **options)


def _team_route(
    name: str, make: Maker, method: str, allowed: tuple[str, ...], ok: int, options: dict[str, Any]
) -> Route:
    members = {who: ok if who in allowed else 403 for who in ("owner", "editor", "viewer")}
    expect = {**members, "stranger": 404, "anonymous": options.pop("anonymous", SIGNED_OUT[method])}
    return Route(name, make, method, expect, **options)
