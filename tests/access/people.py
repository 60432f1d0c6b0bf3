"""The people of every access test: three members of one team, somebody of another team, and nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.test import Client

from studio.accounts.models import Project, Team, User
from tests import factories

PEOPLE = ("owner", "editor", "viewer", "stranger", "anonymous")


@dataclass(frozen=True)
class People:
    """`owner` administers the team; `stranger` administers another one; `anonymous` is None."""

    team: Team
    project: Project
    owner: User
    editor: User
    viewer: User
    stranger: User
    other_project: Project
    anonymous: None = None

    def __iter__(self) -> Iterator[tuple[str, User | None]]:
        return iter([(name, getattr(self, name)) for name in PEOPLE])

    def client(self, name: str, **options: bool) -> Client:
        """A browser in which this person is signed in."""
        client, user = Client(**options), getattr(self, name)
        if user is not None:
            client.force_login(user)
        return client


def make_people() -> People:
    owner, editor, viewer, stranger = (factories.make_user(name) for name in PEOPLE[:4])
    team = factories.make_team("Crew", admin=owner, editor=editor, viewer=viewer)
    return People(
        team=team,
        project=factories.make_project("Digits", team=team),
        owner=owner,
        editor=editor,
        viewer=viewer,
        stranger=stranger,
        other_project=factories.make_project("Elsewhere", team=factories.make_team(admin=stranger)),
    )


@pytest.fixture
def people(db: None) -> People:
    return make_people()
