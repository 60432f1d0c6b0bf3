"""API tokens open what their scope says until they end, and cannot be read back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from studio.accounts.models import ApiToken, AuditEntry, User
from studio.accounts.tokens import create_token, revoke_token, token_for
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def test_a_token_is_found_by_its_text_alone() -> None:
    row, text = create_token(user=make_user(), name="notebook", days=30)
    assert token_for(text) == row
    assert token_for(text[:-1]) is None
    assert token_for("") is None
    assert row.prefix == text[:12]


def test_the_text_is_kept_nowhere() -> None:
    _, text = create_token(user=make_user(), name="notebook")
    assert text not in str(list(ApiToken.objects.values()) + list(AuditEntry.objects.values()))


def test_a_token_ends_by_time_by_revoking_and_with_its_user() -> None:
    user = make_user()
    for change in ("time", "revoke", "user"):
        row, text = create_token(user=user, name=change)
        if change == "time":
            ApiToken.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        elif change == "revoke":
            revoke_token(token=row, by=user)
        else:
            User.objects.filter(pk=user.pk).update(is_active=False)
        assert token_for(text) is None, change


def test_its_use_is_noted_at_most_once_a_minute(django_assert_num_queries) -> None:
    row, text = create_token(user=make_user(), name="notebook")
    with django_assert_num_queries(2):
        token_for(text)
    with django_assert_num_queries(1):
        token_for(text)
    row.refresh_from_db()
    assert row.last_used_at is not None


def test_revoking_twice_leaves_one_entry() -> None:
    user = make_user()
    row, _ = create_token(user=user, name="notebook", days=None)
    revoke_token(token=row, by=user)
    revoke_token(token=row, by=user)
    assert AuditEntry.objects.filter(action="token.revoke", actor=user).count() == 1
