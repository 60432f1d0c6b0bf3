"""The arguments of ModelCheckpoint: which of its intervals holds, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from trainer_core.durations import Duration
from trainer_core.errors import MisconfigurationException

if TYPE_CHECKING:
    from trainer_core.callbacks.checkpoint import ModelCheckpoint


def triggers(
    every: Duration | None, steps: int | None, epochs: int | None, interval: timedelta | None
) -> tuple[int, int, timedelta | None]:
    """(steps, epochs, time) between two checkpoints, 0 or None for what does not count; each epoch where nothing is given."""
    if every is not None and (steps or epochs or interval):
        raise MisconfigurationException(f"every: got {every}, allowed is nothing beside another interval.")
    if every is not None and every.unit == "s":
        interval = timedelta(seconds=every.value)
    elif every is not None and every.unit == "ep" and every.value == int(every.value):
        epochs = int(every.value)
    elif every is not None:
        steps = int(every.value) if every.unit == "st" else 0  # the others are counted when the data is known
    elif steps is None and epochs is None and interval is None:
        steps, epochs = 0, 1
    return steps or 0, epochs or 0, interval


def check_arguments(saver: ModelCheckpoint) -> None:
    """MisconfigurationException with what was given and what is allowed."""
    steps, epochs, interval = saver._every_n_train_steps, saver._every_n_epochs, saver._train_time_interval
    if saver.mode not in ("min", "max"):
        raise _refused("mode", saver.mode, "one of 'min', 'max'")
    if saver.save_top_k < -1:
        raise _refused("save_top_k", saver.save_top_k, "a whole number of at least -1")
    for name, given in (("every_n_train_steps", steps), ("every_n_epochs", epochs)):
        if given < 0:
            raise _refused(name, given, "a whole number of at least 0")
    if (steps >= 1) + (epochs >= 1) + (interval is not None) > 1:
        raise MisconfigurationException(
            "every_n_train_steps, every_n_epochs and train_time_interval: only one of them can be used. "
            f"Got {steps}, {epochs} and {interval}."
        )
    if saver.monitor is None and saver.save_top_k not in (-1, 0, 1):
        raise _refused("save_top_k", saver.save_top_k, "-1, 0 or 1 when no monitor is given")
    if saver.save_last not in (None, True, False, "link"):
        raise _refused("save_last", saver.save_last, "one of None, True, False, 'link'")


def _refused(name: str, given: object, allowed: str) -> MisconfigurationException:
    return MisconfigurationException(f"{name}: got {given!r}, allowed is {allowed}.")
