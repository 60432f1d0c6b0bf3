"""Whose the sessions of browsers are, as long as they last."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from studio.accounts.models import User


def users_of(keys: Collection[str]) -> dict[str, int]:
    """The user of each of these sessions: without those that have ended, that began with another password, or whose
    user may not sign in any more. Two queries, however many they are.
    """
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    found = {row.session_key: row.get_decoded() for row in rows}
    whose = {key: int(data[SESSION_KEY]) for key, data in found.items() if str(data.get(SESSION_KEY, "")).isdecimal()}
    users = User.objects.filter(pk__in=set(whose.values()), is_active=True).only("password").in_bulk()
    return {key: pk for key, pk in whose.items() if pk in users and _began_with(users[pk], found[key])}


def _began_with(user: User, data: dict[str, Any]) -> bool:
    """Whether the session began with the password that the user has now."""
    given = data.get(HASH_SESSION_KEY) or ""
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(given, one) for one in known)
