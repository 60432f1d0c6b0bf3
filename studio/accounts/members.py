"""Members of a team: add, change, remove; a team always keeps an administrator."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from studio.accounts.audit import record
from studio.accounts.errors import MemberError
from studio.accounts.hints import rights_changed
from studio.accounts.models import Membership, ProjectMember, Role, Team, User


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
        rights_changed()
        record(
            by,
            "member.change",
            membership,
            user=membership.user.username,
            role=[membership.role, role],
            may_run_code=[membership.may_run_code, may_run_code],
        )


def open_links_of(membership: Membership) -> int:
    """How many links of the member open what the team has for people without an account. One query."""
    count: Callable[[int, int], int] = import_string(settings.OPEN_LINKS_OF_MEMBER)
    return count(membership.team_id, membership.user_id)


def remove_member(*, membership: Membership, by: User, revoke_links: bool = False) -> None:
    """MemberError when the team would be left without an administrator. What the person made stays; with `revoke_links`
    the links that they shared open nothing any more.
    """
    with transaction.atomic():
        _lock_admins(membership.team)
        _check_other_admin(membership)
        if revoke_links:
            import_string(settings.REVOKE_LINKS_OF_MEMBER)(membership.team_id, membership.user_id, by)
        record(by, "member.remove", membership, user=membership.user.username, role=membership.role)
        ProjectMember.objects.filter(user=membership.user_id, project__team=membership.team_id).delete()
        Membership.objects.filter(pk=membership.pk).delete()
        rights_changed()


def _lock_admins(team: Team) -> None:
    """Two administrators who remove each other at once must not both succeed (SQLite holds the write lock anyway)."""
    list(Membership.objects.select_for_update().filter(team=team, role=Role.ADMIN).values_list("pk"))


def _check_other_admin(membership: Membership) -> None:
    others = Membership.objects.filter(team_id=membership.team_id, role=Role.ADMIN, user__is_active=True)
    if not others.exclude(pk=membership.pk).exists():
        raise MemberError("A team needs an administrator. Make somebody else one first.")
