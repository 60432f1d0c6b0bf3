"""The errors that the engine raises on purpose; torch-free, shared with whoever launches it."""

from __future__ import annotations


class TrainerCoreError(Exception):
    """Base of every error that the engine raises on purpose."""


class MisconfigurationException(TrainerCoreError):
    """The trainer, module, data and options do not fit together. The name is Lightning's."""


class OptionError(TrainerCoreError, ValueError):
    """A value does not fit its option; carries what was given and what is allowed."""

    def __init__(self, name: str, given: object, allowed: str, hint: str = "") -> None:
        self.name, self.given, self.allowed, self.hint = name, given, allowed, hint
        shown = repr(given)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        message = f"{name}: got {shown}, allowed is {allowed}."
        super().__init__(f"{message} {hint}" if hint else message)


class SpecError(TrainerCoreError, ValueError):
    """A run specification is incomplete, unknown or inconsistent."""


class CheckpointError(TrainerCoreError):
    """A checkpoint is missing, damaged or does not fit the model."""


class SpoolError(TrainerCoreError):
    """A spool holds a frame that is not at the torn end and does not verify."""


class SIGTERMException(TrainerCoreError):
    """A SIGTERM reached the trainer; raised at the next batch boundary. The name is Lightning's."""


class DataChangedError(TrainerCoreError):
    """A file of the dataset is not what it was when it was registered."""


class NonFiniteError(TrainerCoreError):
    """The loss or a gradient became NaN or infinite and the policy says stop."""
