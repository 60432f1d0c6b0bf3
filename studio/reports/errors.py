"""What can be wrong with a comment, a review or a link."""

from __future__ import annotations


class ReviewError(Exception):
    """The words are for people."""


class ShareError(Exception):
    """The words are for people."""


class ReportError(Exception):
    """What is wrong with the text of a report, a sentence each, with its line."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__(" ".join(wrong))
        self.wrong = wrong


class StaleReport(Exception):
    """Somebody else saved the report meanwhile."""
