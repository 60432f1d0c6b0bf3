"""Invitations into a team: made, sent by e-mail, taken back, accepted once."""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from studio.accounts.activity import shortened
from studio.accounts.audit import record
from studio.accounts.errors import InviteError
from studio.accounts.members import add_member
from studio.accounts.models import Invite, Role, Team, User
from studio.core import limits
from studio.core.tokens import new_token, token_digest

log = logging.getLogger(__name__)
DAYS, MOST_DAYS, MOST_OPEN, MAILS_AN_HOUR = 7, 30, 100, 30
TEXT = """{who} invites you to the team {team} of a training studio, as {role}.

Open this address to join, with the account that you have or with a new one:

{url}

It works once, until {day}. If you do not know what this is about, do nothing.
"""


def create_invite(*, team: Team, role: Role, by: User, days: int = DAYS, email: str = "") -> str:
    """The token of a one-time link; InviteError for too many days, or too many open ones."""
    if not 1 <= days <= MOST_DAYS:
        raise InviteError(f"An invitation is good for 1 to {MOST_DAYS} days; {days} were asked for.")
    if open_invites(team).count() >= MOST_OPEN:
        raise InviteError(f"The team has {MOST_OPEN} open invitations. Take back some that are no longer needed.")
    token, digest = new_token()
    with transaction.atomic():
        invite = Invite.objects.create(
            team=team,
            role=role,
            email=email,
            digest=digest,
            created_by=by,
            expires_at=timezone.now() + timedelta(days=days),
        )
        record(by, "invite.create", invite, role=role, days=days, mailed=bool(email))
    return token


def send_invite(*, invite: Invite, url: str, by: User) -> None:
    """By e-mail; InviteError when it could not be sent. Waits for the mail server.

    The address learns the same whether somebody here has it or not.
    """
    if limits.wait_s(f"invite-mails:{by.pk}", MAILS_AN_HOUR, 3600):
        raise InviteError(f"You sent {MAILS_AN_HOUR} invitations within an hour. Give this one yourself.")
    team = shortened(str(invite.team), 80)
    text = TEXT.format(
        who=shortened(str(by), 80),
        team=team,
        role=Role(invite.role).label.lower(),
        url=url,
        day=f"{invite.expires_at:%Y-%m-%d}",
    )
    try:
        send_mail(f"Join the team {team}", text, settings.DEFAULT_FROM_EMAIL, [invite.email])
    except (SMTPException, OSError) as error:
        log.warning("invitation %s could not be sent: %s", invite.pk, error)
        raise InviteError("The e-mail could not be sent. Give the link yourself.") from error


def open_invites(team: Team) -> QuerySet[Invite]:
    return Invite.objects.usable().filter(team=team)


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
    return Invite.objects.usable().filter(digest=token_digest(token))
