"""What can be wrong with a webhook or a rule."""

from __future__ import annotations


class NotificationError(Exception):
    """The words are for people."""
