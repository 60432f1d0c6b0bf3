"""A long download asks whether it may go on: whatever ends the right of who asked for it ends it too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import RequestFactory
from django.utils import timezone

from studio.accounts.models import ApiToken, Membership, Project, User
from studio.accounts.still import still_reads
from studio.runs.models import Run
from tests.access.people import People
from tests.factories import make_run, make_token, write_checkpoint

pytestmark = pytest.mark.django_db


def asks(people: People, *, by_token: bool = False) -> Callable[[], bool]:
    """The viewer begins to download a checkpoint."""
    request: Any = RequestFactory().get("/")
    request.user, request.session = people.viewer, SessionStore(None)
    if by_token:
        request.auth = make_token(people.viewer)[0]
    else:
        request.session = SessionStore(people.client("viewer").cookies[settings.SESSION_COOKIE_NAME].value)
    still = still_reads(request, write_checkpoint(make_run(people.project, state="succeeded")))
    assert still()
    return still


def leaves(people: People) -> None:
    Membership.objects.filter(user=people.viewer).delete()


def loses_a_private_project(people: People) -> None:
    Project.objects.filter(pk=people.project.pk).update(is_private=True)


def is_shut_out(people: People) -> None:
    User.objects.filter(pk=people.viewer.pk).update(is_active=False)


def run_is_gone(people: People) -> None:
    Run.objects.filter(project=people.project).delete()


def signs_out(people: People) -> None:
    Session.objects.all().delete()


def has_another_password(people: People) -> None:
    people.viewer.set_password("a new one of theirs")
    people.viewer.save()


def token_is_revoked(people: People) -> None:
    ApiToken.objects.update(revoked_at=timezone.now())


def token_expires(people: People) -> None:
    ApiToken.objects.update(expires_at=timezone.now())


@pytest.mark.parametrize(
    "end", [leaves, loses_a_private_project, is_shut_out, run_is_gone, signs_out, has_another_password]
)
def test_it_ends_for_who_is_signed_in(people: People, end: Callable[[People], None]) -> None:
    still = asks(people)
    end(people)
    assert not still()


@pytest.mark.parametrize(
    "end", [leaves, loses_a_private_project, is_shut_out, run_is_gone, token_is_revoked, token_expires]
)
def test_it_ends_for_a_program(people: People, end: Callable[[People], None]) -> None:
    still = asks(people, by_token=True)
    signs_out(people)
    assert still(), "a token is no session"
    end(people)
    assert not still()


def test_it_asks_three_times_at_most(people: People, django_assert_num_queries: Any) -> None:
    still = asks(people)
    with django_assert_num_queries(3):
        assert still()
