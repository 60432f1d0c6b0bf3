"""Changing who is in a team keeps an administrator in it and leaves a trace."""

import pytest

from studio.accounts.errors import InviteError, MemberError
from studio.accounts.invites import accept_invite, create_invite, revoke_invite, usable_invite
from studio.accounts.members import add_member, change_member, remove_member
from studio.accounts.models import AuditEntry, Invite, Membership, Role
from tests.access.people import People
from tests.factories import make_user


def member(people: People, name: str) -> Membership:
    return Membership.objects.get(team=people.team, user=getattr(people, name))


def test_a_member_is_added_once(people: People) -> None:
    add_member(team=people.team, user=people.stranger, role=Role.VIEWER, by=people.owner)
    with pytest.raises(MemberError, match="is a member of Crew already"):
        add_member(team=people.team, user=people.stranger, role=Role.ADMIN, by=people.owner)
    assert member(people, "stranger").role == "viewer"


def test_the_last_administrator_stays(people: People) -> None:
    with pytest.raises(MemberError, match="needs an administrator"):
        remove_member(membership=member(people, "owner"), by=people.owner)
    with pytest.raises(MemberError, match="needs an administrator"):
        change_member(membership=member(people, "owner"), role=Role.EDITOR, may_run_code=False, by=people.owner)
    change_member(membership=member(people, "editor"), role=Role.ADMIN, may_run_code=True, by=people.owner)
    remove_member(membership=member(people, "owner"), by=people.editor)
    assert member(people, "editor").role == "admin"


def test_an_inactive_administrator_does_not_count(people: People) -> None:
    add_member(team=people.team, user=make_user(is_active=False), role=Role.ADMIN, by=people.owner)
    with pytest.raises(MemberError):
        remove_member(membership=member(people, "owner"), by=people.owner)


def test_an_invitation_works_once(people: People) -> None:
    token = create_invite(team=people.team, role=Role.EDITOR, by=people.owner)
    assert accept_invite(token=token, user=people.stranger) == people.team
    assert member(people, "stranger").role == "editor"
    with pytest.raises(InviteError):
        accept_invite(token=token, user=make_user())


def test_an_invitation_is_not_used_up_by_a_member(people: People) -> None:
    token = create_invite(team=people.team, role=Role.ADMIN, by=people.owner)
    with pytest.raises(MemberError):
        accept_invite(token=token, user=people.viewer)
    assert member(people, "viewer").role == "viewer"
    assert usable_invite(token)


def test_an_invitation_can_be_taken_back(people: People) -> None:
    token = create_invite(team=people.team, role=Role.EDITOR, by=people.owner)
    revoke_invite(invite=Invite.objects.get(), by=people.owner)
    with pytest.raises(InviteError):
        accept_invite(token=token, user=people.stranger)
    assert token not in str(list(Invite.objects.values()))


def test_each_change_leaves_one_entry_of_the_team(people: People) -> None:
    add_member(team=people.team, user=people.stranger, role=Role.VIEWER, by=people.owner)
    change_member(membership=member(people, "stranger"), role=Role.EDITOR, may_run_code=True, by=people.owner)
    remove_member(membership=member(people, "stranger"), by=people.owner)
    entries = AuditEntry.objects.visible_to(people.owner).order_by("pk")
    assert [entry.action for entry in entries] == ["member.add", "member.change", "member.remove"]
    assert {entry.actor for entry in entries} == {people.owner}
    assert entries[1].detail["role"] == ["viewer", "editor"]
    assert not AuditEntry.objects.visible_to(people.stranger).exists()
