"""Code as numbered lines for a page, with the one that an inspection complains about marked."""

from __future__ import annotations

from dataclasses import dataclass

MAX_LINES = 5000


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    text: str
    is_wrong: bool


def code_lines(code: str, wrong: int | None = None) -> list[Line]:
    """At most 5,000 lines; empty for no code."""
    if not code:
        return []
    return [Line(n, text, n == wrong) for n, text in enumerate(code.split("\n")[:MAX_LINES], 1)]
