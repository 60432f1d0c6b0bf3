"""What the registry refuses, in words for the person who asked."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied


class RegistryError(Exception):
    """A value does not do; `field` names the form field, or is empty if it concerns the whole."""

    def __init__(self, text: str, *, field: str = "") -> None:
        self.text, self.field = text, field
        super().__init__(text)


class CodeRightMissing(PermissionDenied):
    """Registering code needs the right to run code, since a worker executes it."""

    def __init__(self) -> None:
        super().__init__("Code runs on the workers, so registering it needs the right to run code in this team.")
