"""Who may do what: every route and socket × five people × every method; a route that nobody listed fails."""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from tests.access.matrix import METHODS, Route
from tests.access.people import PEOPLE, People
from tests.access.snapshot import snapshot
from tests.access.walk import listed_routes, real_routes

ROUTES = listed_routes()
MISSING = 10**9
BY_NAME = {name: [route for route in ROUTES if route.name == name] for name in {r.name for r in ROUTES}}


def ask(people: People, person: str, route: Route, method: str = "") -> HttpResponse:
    kwargs = route.make(people)
    url = reverse(route.name, kwargs=kwargs)
    if route.query:
        url += f"?{route.query(people, kwargs)}"
    method = method or route.method
    options: dict[str, Any] = {"headers": route.headers}
    if method != "GET" and route.data:
        options["data"] = route.data(people, kwargs)
        if route.json:
            options["content_type"] = "application/json"
        elif method != "POST" or isinstance(options["data"], bytes):
            options["content_type"] = "application/octet-stream"
    client = people.client(person, raise_request_exception=True)
    return getattr(client, method.lower())(url, **options)


def release(response: HttpResponse) -> None:
    """Close the files of a download; `close` would also close the connection in which the test's rows are."""
    for close in response._resource_closers if response.streaming else ():
        if getattr(close, "__self__", None) is not response:
            close()


def words_of(response: HttpResponse) -> str:
    """The page without its CSRF tokens and without its own address, which forms and links repeat."""
    address = response.wsgi_request.get_full_path()  # type: ignore[attr-defined]
    words = re.sub(r"\b\w{64}\b", "", response.content.decode())
    for form in (address, escape(address), quote(address), escape(quote(address))):
        words = words.replace(form, "")
    return words


def with_missing_ids(route: Route) -> Route:
    """The same request about objects that do not exist: each number in its path, query and body is another one."""

    def swap(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {key: MISSING if isinstance(value, int) else value for key, value in values.items()}

    def query(people: People, kwargs: dict[str, Any]) -> str:
        return re.sub(r"\d+", str(MISSING), route.query(people, kwargs)) if route.query else ""

    def data(people: People, kwargs: dict[str, Any]) -> Any:
        return swap(route.data(people, kwargs)) if route.data else None

    return dataclasses.replace(route, make=lambda people: swap(route.make(people)), query=query, data=data)


def asked_at_a_cost(people: People, route: Route) -> tuple[HttpResponse, list[str]]:
    """The answer to the stranger, and the queries that it took, as far as they do not depend on what is asked for."""
    kwargs = route.make(people)
    query = route.query(people, kwargs) if route.query else ""
    data = route.data(people, kwargs) if route.data and route.method != "GET" else None
    given = {
        "make": lambda _: kwargs,
        "query": lambda *_: query,
        "data": (lambda *_: data) if data is not None else None,
    }
    with CaptureQueriesContext(connection) as queries:
        response = ask(people, "stranger", dataclasses.replace(route, **given))  # type: ignore[arg-type]
    return response, [_shape(query["sql"]) for query in queries]


def _shape(sql: str) -> str:
    """Without what is asked for, and how many of it."""
    return re.sub(r"\?(?:, \?)+", "?", re.sub(r"\d+|'[^']*'", "?", sql))


def test_every_route_is_listed() -> None:
    missing = set(real_routes()) - set(BY_NAME)
    assert not missing, f"Say in tests/access/routes_<app>.py who may use: {sorted(missing)}"


def test_every_listed_route_exists() -> None:
    assert not set(BY_NAME) - set(real_routes())


@pytest.mark.django_db
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_each_person_gets_the_answer_of_the_table(people: People, route: Route, person: str) -> None:
    response = ask(people, person, route)
    assert response.status_code == route.expect[person], response.content[:400] if not response.streaming else ""
    if person == "anonymous" and response.status_code == 302 and route.expect["owner"] != 302:
        assert response["Location"].startswith("/login/")
    release(response)


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_other_methods_are_refused(people: People, name: str) -> None:
    paths = real_routes()  # several names may share an address, as with REST
    known = {route.method for route in ROUTES if paths.get(route.name) == paths[name]}
    for method in sorted(set(METHODS) - known):
        for person in ("owner", "anonymous"):
            response = ask(people, person, BY_NAME[name][0], method)
            refused = (401, 403, 404, 405) if person == "owner" else (302, 401, 403, 404, 405)
            assert response.status_code in refused, f"{method} {name} as {person}: {response.status_code}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "GET"], ids=str)
def test_reading_changes_nothing(people: People, route: Route) -> None:
    kwargs = route.make(people)
    query = route.query(people, kwargs) if route.query else ""
    fixed = dataclasses.replace(route, make=lambda _: kwargs, query=lambda *_: query)
    people.client("owner")  # signing in writes; it is not what is looked at
    before = snapshot()
    response = ask(people, "owner", fixed)
    release(response)
    assert snapshot() == before


@pytest.mark.django_db
@pytest.mark.parametrize("route", [r for r in ROUTES if r.expect["stranger"] == 404], ids=str)
def test_a_stranger_cannot_tell_a_foreign_object_from_a_missing_one(people: People, route: Route) -> None:
    (foreign, cost), (missing, cost_of_missing) = (
        asked_at_a_cost(people, one) for one in (route, with_missing_ids(route))
    )
    assert foreign.status_code == missing.status_code == 404
    assert words_of(foreign) == words_of(missing)
    assert cost == cost_of_missing, "the time would tell"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.method != "GET" and r.expect["owner"] < 400 and r.guarded], ids=str
)
def test_a_change_needs_the_csrf_token(people: People, route: Route) -> None:
    kwargs = route.make(people)
    client = people.client("owner", enforce_csrf_checks=True)
    response = getattr(client, route.method.lower())(reverse(route.name, kwargs=kwargs))
    assert response.status_code == 403
