"""Durations with units: `10ep`, `500st`, `64ba`, `1e6sp`, `30min`, `1h30min`, `01:12:00:00`, `25%`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from trainer_core.errors import OptionError

Unit = Literal["ep", "st", "ba", "sp", "s", "%"]
WORDS: dict[Unit, str] = {
    "ep": "epochs",
    "st": "steps",
    "ba": "batches",
    "sp": "samples",
    "s": "seconds",
    "%": "percent of the run",
}
ALLOWED = "a duration such as 10ep (epochs), 500st (steps), 64ba (batches), 1e6sp (samples), 30min, 1h30min or 25%"
_SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"(\d+(?:\.\d*)?(?:e[+]?\d+)?|\.\d+)"
_COUNT = re.compile(rf"{_NUMBER}\s*(ep|st|ba|sp|%)")
_PART = re.compile(rf"{_NUMBER}\s*(min|ms|d|h|s)\s*")
_CLOCK = re.compile(r"(\d+):([01]?\d|2[0-3]):([0-5]?\d):([0-5]?\d)")


@dataclass(frozen=True, slots=True)
class Duration:
    """`value` is in `unit`: whole for st, ba and sp; 0 < value ≤ 100 for %; seconds for wall time."""

    value: float
    unit: Unit

    def __str__(self) -> str:
        number = f"{self.value:g}" if self.value < 1e15 else repr(self.value)
        if self.value == int(self.value) and self.value < 1e15:
            number = str(int(self.value))
        return number + self.unit

    def in_words(self) -> str:
        """For people: `10 epochs`, `1.5 hours`."""
        if self.unit == "s":
            for seconds, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
                if self.value >= seconds:
                    return f"{self.value / seconds:g} {word}"
        return f"{self.value:g} {WORDS[self.unit]}"


def parse_duration(given: object, *, name: str = "duration", bare: Unit | None = None) -> Duration:
    """Read a duration; a bare number is in `bare`, and refused when `bare` is None.

    OptionError names the option, what was given and what is allowed.
    """
    if isinstance(given, Duration):
        return given
    if isinstance(given, timedelta):
        return _checked(Duration(given.total_seconds(), "s"), given, name)
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise OptionError(name, given, ALLOWED)
    text = str(given).strip().lower().replace("_", "")
    if found := _COUNT.fullmatch(text):
        return _checked(Duration(float(found[1]), found[2]), given, name)  # type: ignore[arg-type]
    if found := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(g) for g in found.groups())
        return _checked(Duration(days * 86400.0 + hours * 3600 + minutes * 60 + seconds, "s"), given, name)
    if bare is not None and re.fullmatch(_NUMBER, text):
        return _checked(Duration(float(text), bare), given, name)
    seconds_total, at = 0.0, 0
    while at < len(text) and (part := _PART.match(text, at)):
        seconds_total += float(part[1]) * _SECONDS[part[2]]
        at = part.end()
    if not text or at < len(text):
        hint = "" if bare is not None else "Say the unit."
        raise OptionError(name, given, ALLOWED, hint)
    return _checked(Duration(seconds_total, "s"), given, name)


def _checked(duration: Duration, given: object, name: str) -> Duration:
    if not math.isfinite(duration.value) or duration.value <= 0:
        raise OptionError(name, given, ALLOWED, "It must be more than zero.")
    if duration.unit in ("st", "ba", "sp") and duration.value != int(duration.value):
        raise OptionError(name, given, ALLOWED, f"Give a whole number of {WORDS[duration.unit]}.")
    if duration.unit == "%" and duration.value > 100:
        raise OptionError(name, given, ALLOWED, "At most 100%.")
    return duration
