"""What can be wrong with a comment or a review."""

from __future__ import annotations


class ReviewError(Exception):
    """The words are for people."""
