"""Log-in links: one-time and good for a day; the first one ever used makes the administrator."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from studio.accounts.audit import record
from studio.accounts.models import LoginLink, Membership, Project, Role, Team, User
from studio.core.tokens import new_token, token_digest

LIFETIME = timedelta(hours=24)


def make_login_link(user: User | None = None) -> str:
    """The token of a new link for `user`, or for the administrator; `reverse("login-link", args=[token])` is its path."""
    token, digest = new_token()
    now = timezone.now()
    LoginLink.objects.filter(expires_at__lt=now - LIFETIME).delete()
    LoginLink.objects.create(user=user, digest=digest, expires_at=now + LIFETIME)
    return token


def is_usable(token: str) -> bool:
    return _usable(token).exists()


def use_login_link(token: str) -> User | None:
    """Whom the link signs in, once; None when it is unknown, used, expired, or its user was deactivated."""
    with transaction.atomic():
        link = _usable(token).select_related("user").first()
        if link is None or not _usable(token).update(used_at=timezone.now()):
            return None
        user = link.user or administrator()
        if not user.is_active:
            return None
        record(user, "login.link", user)
        return user


def _usable(token: str) -> QuerySet[LoginLink]:
    return LoginLink.objects.filter(digest=token_digest(token), used_at=None, expires_at__gt=timezone.now())


def administrator() -> User:
    """The first active superuser or team administrator; made, with a team and a project, where there is nobody yet."""
    admins = User.objects.filter(Q(is_superuser=True) | Q(memberships__role=Role.ADMIN), is_active=True)
    return admins.order_by("-is_superuser", "pk").first() or _make_administrator()


def _make_administrator() -> User:
    user = User(username="admin", is_superuser=True, is_staff=True)
    user.set_unusable_password()
    user.save()
    team = Team.objects.create(name="My team", slug="my-team")
    Membership.objects.create(team=team, user=user, role=Role.ADMIN, may_run_code=True)
    Project.objects.create(team=team, name="My project", slug="my-project")
    record(user, "studio.start", team)
    return user
