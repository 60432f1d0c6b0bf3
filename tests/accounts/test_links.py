"""Log-in links work once, for a day, and the first one makes the administrator."""

from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from studio.accounts.links import is_usable, make_login_link, use_login_link
from studio.accounts.models import AuditEntry, LoginLink, Membership, Project, User
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db


def test_the_first_link_makes_the_administrator_with_a_team_and_a_project() -> None:
    user = use_login_link(make_login_link())
    assert user is not None
    assert user.username == "admin"
    assert user.is_superuser
    assert not user.has_usable_password()
    assert Membership.objects.get(user=user).role == "admin"
    assert Project.objects.visible_to(user).get().name == "My project"


def test_no_account_exists_before_the_link_is_used() -> None:
    make_login_link()
    assert not User.objects.exists()


def test_later_links_sign_in_the_same_administrator() -> None:
    first = use_login_link(make_login_link())
    assert use_login_link(make_login_link()) == first
    assert User.objects.count() == 1


def test_a_link_without_a_superuser_signs_in_a_team_administrator() -> None:
    make_user("viewer")
    admin = make_user("boss")
    make_team(admin=admin)
    assert use_login_link(make_login_link()) == admin


def test_a_link_works_once() -> None:
    token = make_login_link(make_user())
    assert is_usable(token)
    assert use_login_link(token)
    assert not is_usable(token)
    assert use_login_link(token) is None


def test_a_link_ends_after_a_day() -> None:
    token = make_login_link(make_user())
    LoginLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert use_login_link(token) is None


def test_a_link_does_not_bring_back_a_deactivated_user() -> None:
    token = make_login_link(user := make_user())
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert use_login_link(token) is None


@pytest.mark.parametrize("token", ["", "x", "\0", "é", "../", ":key", "a" * 10_000])
def test_a_made_up_link_opens_nothing(token: str) -> None:
    make_login_link()
    assert use_login_link(token) is None


def test_only_the_digest_is_kept() -> None:
    token = make_login_link(make_user())
    use_login_link(token)
    assert token not in str(list(LoginLink.objects.values()) + list(AuditEntry.objects.values()))


def test_the_command_prints_a_link_and_names_who_there_is() -> None:
    make_user("anna")
    out, said = StringIO(), StringIO()
    call_command("login_link", "anna", stdout=out, stderr=said)
    assert f"once `manage.py up` serves {settings.PUBLIC_URL}" in said.getvalue(), "nobody answers at the link yet"
    used = use_login_link(out.getvalue().strip().rstrip("/").rsplit("/", 1)[-1])
    assert used is not None
    assert used.username == "anna"
    with pytest.raises(CommandError, match="no user 'bert'. Known are: anna"):
        call_command("login_link", "bert")
