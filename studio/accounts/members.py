"""Members of a team: add, change, remove, invite; a team always keeps an administrator."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from studio.accounts.audit import record
from studio.accounts.errors import InviteError, MemberError
from studio.accounts.models import Invite, Membership, Role, Team, User
from studio.core.tokens import new_token, token_digest

INVITE_LIFETIME = timedelta(days=7)


def add_member(*, team: Team, user: User, role: Role, by: User) -> Membership:
    """MemberError when the person is a member already."""
    try:
        with transaction.atomic():
            membership = Membership.objects.create(team=team, user=user, role=role)
            record(by, "member.add", membership, user=user.username, role=role)
    except IntegrityError as error:
        raise MemberError(f"{user} is a member of {team} already.") from error
    return membership


def change_member(*, membership: Membership, role: Role, may_run_code: bool, by: User) -> None:
    """MemberError when the team would be left without an administrator."""
    with transaction.atomic():
        _lock_admins(membership.team)
        if role != Role.ADMIN:
            _check_other_admin(membership)
        Membership.objects.filter(pk=membership.pk).update(role=role, may_run_code=may_run_code)
        record(
            by,
            "member.change",
            membership,
            user=membership.user.username,
            role=[membership.role, role],
            may_run_code=[membership.may_run_code, may_run_code],
        )


def remove_member(*, membership: Membership, by: User) -> None:
    """MemberError when the team would be left without an administrator. What the person made stays."""
    with transaction.atomic():
        _lock_admins(membership.team)
        _check_other_admin(membership)
        record(by, "member.remove", membership, user=membership.user.username, role=membership.role)
        Membership.objects.filter(pk=membership.pk).delete()


def create_invite(*, team: Team, role: Role, by: User) -> str:
    """The token of a one-time link that is good for a week."""
    token, digest = new_token()
    with transaction.atomic():
        invite = Invite.objects.create(
            team=team, role=role, digest=digest, created_by=by, expires_at=timezone.now() + INVITE_LIFETIME
        )
        record(by, "invite.create", invite, role=role)
    return token


def revoke_invite(*, invite: Invite, by: User) -> None:
    """An unused invitation ends; a used one stays as it is."""
    with transaction.atomic():
        if Invite.objects.filter(pk=invite.pk, used_at=None).update(expires_at=timezone.now()):
            record(by, "invite.revoke", invite, role=invite.role)


def usable_invite(token: str) -> Invite | None:
    return _usable(token).select_related("team").first()


def accept_invite(*, token: str, user: User) -> Team:
    """Make the person a member, once; InviteError when the link cannot be used (any more)."""
    with transaction.atomic():
        invite = usable_invite(token)
        if invite is None or not _usable(token).update(used_at=timezone.now(), used_by=user):
            raise InviteError("This invitation was used, has expired or was taken back. Ask for a new one.")
        add_member(team=invite.team, user=user, role=Role(invite.role), by=user)
        return invite.team


def _usable(token: str) -> QuerySet[Invite]:
    return Invite.objects.filter(digest=token_digest(token), used_at=None, expires_at__gt=timezone.now())


def _lock_admins(team: Team) -> None:
    """Two administrators who remove each other at once must not both succeed (SQLite holds the write lock anyway)."""
    list(Membership.objects.select_for_update().filter(team=team, role=Role.ADMIN).values_list("pk"))


def _check_other_admin(membership: Membership) -> None:
    others = Membership.objects.filter(team_id=membership.team_id, role=Role.ADMIN, user__is_active=True)
    if not others.exclude(pk=membership.pk).exists():
        raise MemberError("A team needs an administrator. Make somebody else one first.")
