"""What cannot be removed, and why."""

from __future__ import annotations


class StorageError(Exception):
    """The text says what stands against it and what to do."""
