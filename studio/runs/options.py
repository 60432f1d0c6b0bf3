"""What the studio knows of options by their names: which of a model's holds the learning rate."""

from __future__ import annotations

from collections.abc import Mapping

from trainer_core.options import OptionSpec

RATES = ("lr", "learning_rate")


def rate_option(options: Mapping[str, OptionSpec]) -> str:
    """The name of the option that is the learning rate; empty when there is none."""
    return next((name for name in RATES if name in options), "")
