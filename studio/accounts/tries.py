"""Brute force: whether one more try to log in is allowed, decided and counted before any password is hashed.

Limits hold for an account from one address and for an address alone, so that nobody can lock out somebody else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from studio.accounts.models import LoginTries
from studio.core.tokens import token_digest

PER_ACCOUNT, ACCOUNT_WINDOW = 5, timedelta(minutes=15)
PER_ADDRESS, ADDRESS_WINDOW = 30, timedelta(minutes=1)


def wait_for(username: str, address: str) -> timedelta | None:
    """Count one try; None when it may go on, else how long to wait. At most six queries."""
    now = timezone.now()
    return _count(_key(address), PER_ADDRESS, ADDRESS_WINDOW, now) or _count(
        _key(address, username), PER_ACCOUNT, ACCOUNT_WINDOW, now
    )


def forget(username: str, address: str) -> None:
    """After a success: this account has all its tries from here again. Windows that ended are swept with it."""
    LoginTries.objects.filter(key=_key(address, username)).delete()
    LoginTries.objects.filter(ends_at__lt=timezone.now()).delete()


def _key(address: str, username: str = "") -> str:
    return token_digest(f"{address}\n{username.casefold()}")


def _count(key: str, limit: int, window: timedelta, now: datetime) -> timedelta | None:
    """Each step is one conditional statement, so that parallel tries cannot pass together."""
    tries = LoginTries.objects.filter(key=key)
    if tries.filter(ends_at__gt=now, count__lt=limit).update(count=F("count") + 1):
        return None
    if tries.filter(ends_at__lte=now).update(count=1, ends_at=now + window):
        return None
    if (row := tries.first()) is None:
        try:
            with transaction.atomic():
                LoginTries.objects.create(key=key, ends_at=now + window)
            return None
        except IntegrityError:  # another try made it first
            return _count(key, limit, window, now)
    return max(row.ends_at - now, timedelta(seconds=1))
