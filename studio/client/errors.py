"""What can go wrong; the words are the server's where it gave any."""

from __future__ import annotations

from collections.abc import Mapping


class StudioError(Exception):
    """The studio refused. `status` is HTTP's, `code` a word for programs, `fields` what is wrong with what was sent."""

    def __init__(
        self, message: str, *, status: int = 0, code: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        self.message, self.status, self.code, self.fields = message, status, code, dict(fields or {})
        self.retry_after_s = 0.0
        super().__init__(message)


class NotReached(StudioError, ConnectionError):
    """The studio does not answer at this address."""


class WaitedTooLong(StudioError, TimeoutError):
    """What was waited for did not happen in time; it goes on all the same."""


class Damaged(StudioError):
    """What arrived is not what was sent: its sha256 differs."""
