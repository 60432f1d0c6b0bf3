"""What accounts refuse, in words for the person who asked."""

from __future__ import annotations


class AccountsError(Exception):
    """Base; `str(error)` can be shown as it is."""


class MemberError(AccountsError):
    """The change of members is not possible."""


class InviteError(AccountsError):
    """The invitation cannot be used."""
