"""Whether who asked for something may still read it: asked again while a long answer is on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from studio.accounts.models import ApiToken
from studio.accounts.sessions import users_of


def still_reads(request: HttpRequest, found: Model) -> Callable[[], bool]:
    """Asks anew whether the session or token of the request lasts and its user sees what `get_for` gave. Three queries."""
    rows: Any = type(found)._default_manager
    user, token, key = request.user, getattr(request, "auth", None), request.session.session_key

    def still() -> bool:
        lasts = (
            _lasts(token) if isinstance(token, ApiToken) else key is not None and users_of([key]).get(key) == user.pk
        )
        return lasts and rows.visible_to(user).filter(pk=found.pk).exists()

    return still


def _lasts(token: ApiToken) -> bool:
    now = ApiToken.objects.select_related("user").filter(pk=token.pk).first()
    return now is not None and now.is_usable and now.user.is_active
