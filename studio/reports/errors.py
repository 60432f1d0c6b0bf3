"""What can be wrong with a comment, a review or a link."""

from __future__ import annotations


class ReviewError(Exception):
    """The words are for people."""


class ShareError(Exception):
    """The words are for people."""
