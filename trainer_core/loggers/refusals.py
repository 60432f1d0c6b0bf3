"""Values that could not be kept, told in words: the first of each of some names by itself, all others counted together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_TOLD, MOST_NAMES = 20, 1000
REST_S, LONGEST_REST_S = 60.0, 3600.0


@dataclass(slots=True)
class Refusal:
    """The first value of a name that was left out, and how many were."""

    step: Any
    why: str
    values: int = 1


class Refusals:
    """Never silent, and never many words: after the first ones a sum, at first after 60 s, then each time after twice as long."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._names: set[str] = set()
        self._values, self._last = 0, ""
        self._due, self._rest_s = 0.0, REST_S

    def add(self, refused: Mapping[str, Refusal], now: float) -> list[str]:
        """What is to be said at once; `now` is in seconds of a clock that does not go back."""
        texts = []
        for name, refusal in refused.items():
            words, values = f"{name} at step {refusal.step}", refusal.values
            if name not in self._told and len(self._told) < MOST_TOLD:
                self._told.add(name)
                texts.append(f"{words} was left out: {refusal.why}.")
                values -= 1
            if values:
                if not self._values:
                    self._due = max(self._due, now + REST_S)
                if len(self._names) < MOST_NAMES:
                    self._names.add(name)
                self._values, self._last = self._values + values, f"{words}: {refusal.why}"
        return texts

    def due(self, now: float) -> list[str]:
        """The sum of what was counted, when it is time for it."""
        return self.rest(now) if self._values and now >= self._due else []

    def rest(self, now: float) -> list[str]:
        """The sum of what was counted and not told, if there is any."""
        if not self._values:
            return []
        names = f"{'at least ' * (len(self._names) == MOST_NAMES)}{len(self._names):,}"
        text = (
            f"{self._values:,} more value{'s' * (self._values > 1)} of {names} name{'s' * (names != '1')} left out, for "
            f"example {self._last}."
        )
        self._values, self._names = 0, set()
        self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)
        self._due = now + self._rest_s
        return [text]
