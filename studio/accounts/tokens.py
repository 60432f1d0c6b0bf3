"""API tokens: named keys with a scope and an end; shown once, kept as a digest."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from studio.accounts.audit import record
from studio.accounts.models import ApiToken, User
from studio.core.tokens import new_token, token_digest

PREFIX = "studio_"
USED_EVERY = timedelta(minutes=1)


def create_token(
    *, user: User, name: str, scope: str = ApiToken.Scope.WRITE, days: int | None = 90
) -> tuple[ApiToken, str]:
    """The row and the text that is never seen again; `days=None` for a token without an end."""
    text, digest = new_token(PREFIX)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            name=name,
            prefix=text[:12],
            digest=digest,
            scope=scope,
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
        )
        record(user, "token.create", token, name=name, scope=scope, days=days)
    return token, text


def revoke_token(*, token: ApiToken, by: User) -> None:
    """From the next request on the token opens nothing; revoking twice changes nothing."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            record(by, "token.revoke", token, name=token.name)


def token_for(text: str) -> ApiToken | None:
    """The usable token of an active user. One query; at most once a minute another that notes the use."""
    token = ApiToken.objects.select_related("user").filter(digest=token_digest(text)).first()
    if token is None or not token.is_usable or not token.user.is_active:
        return None
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token
