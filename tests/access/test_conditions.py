"""No other way of asking tells more than a plain one: HEAD, a range, the tag of what is known, odd words in the address."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from tests.access.matrix import Route
from tests.access.people import People
from tests.access.test_matrix import ROUTES, ask, release
from tests.access.walk import sections

FOREIGN = [route for route in ROUTES if route.method == "GET" and route.expect["stranger"] == 404]
TELLING = ("ETag", "Last-Modified", "Content-Range", "Accept-Ranges", "Repr-Digest", "Content-Disposition")
ODD = ("²", "9" * 30, "\0-1%", "project__team__memberships__user__password__startswith")


def about_one_thing(route: Route, people: People) -> Route:
    kwargs = route.make(people)
    query = route.query(people, kwargs) if route.query else ""
    return dataclasses.replace(route, make=lambda _: kwargs, query=lambda *_: query)


@pytest.mark.django_db
@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__.rpartition(".")[2])
def test_who_may_not_is_told_nothing_however_they_ask(people: People, section: Any) -> None:
    routes = [route for route in FOREIGN if route in getattr(section, "ROUTES", [])]
    for route in (about_one_thing(route, people) for route in routes):
        mine = ask(people, "owner", route)
        tag = mine.headers.get("ETag", '"a"')
        release(mine)
        plain = ask(people, "stranger", route)
        for headers in ({"If-None-Match": tag}, {"If-None-Match": "*"}, {"Range": "bytes=0-0", "If-Range": tag}):
            for method in ("GET", "HEAD"):
                response = ask(people, "stranger", dataclasses.replace(route, headers=headers), method)
                assert response.status_code in ((404,) if method == "GET" else (404, 405)), (
                    f"{method} {route} {headers}"
                )
                assert not [name for name in TELLING if name in response.headers], f"{method} {route}"
                if method == "GET":
                    assert len(response.content) == len(plain.content)


def names_of_parameters() -> list[str]:
    """All that some page reads from its address."""
    found: set[str] = set()
    for path in Path(settings.BASE_DIR, "studio").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found |= set(re.findall(r"(?:GET|query|asked|wanted|params)(?:\.get|\.getlist)?[(\[]\"(\w+)\"", source))
    return sorted(found)


@pytest.mark.django_db
@pytest.mark.parametrize("odd", ODD, ids=[repr(odd[:12]) for odd in ODD])
def test_odd_words_in_an_address_are_no_fault_of_the_studio(people: People, odd: str) -> None:
    """An exception would be raised here: it is none of the answers."""
    names = names_of_parameters()
    assert len(names) > 25
    asked = 0
    for route in ROUTES:
        if route.method != "GET" or route.expect["owner"] != 200:
            continue
        client, url = people.client("owner"), reverse(route.name, kwargs=route.make(people))
        response: Any = client.get(url, dict.fromkeys(names, odd), headers=route.headers)
        assert response.status_code < 500, route
        release(response)
        asked += 1
    assert asked > 100
