"""What can be wrong with an order to a run; each message says what to do."""

from __future__ import annotations


class RunError(Exception):
    """An order that cannot be followed; `errors` holds one sentence by field name (`""` for the whole)."""

    def __init__(self, message: str, *, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or {"": message}


class StaleState(RunError):
    """The run is not in the state (or attempt) that the change starts from; nothing was written."""


class NotYet(RunError):
    """What is asked for will be there soon."""
