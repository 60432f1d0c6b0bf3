"""What a cell of a table means: no value, or a number, however it is written; as the engine reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

# Cells that mean "no value", compared without case and surrounding spaces.
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "?"))
NumberStyle = Literal["plain", "point", "comma"]

_GROUPS = r"[1-9]\d{{0,2}}(?:(?P<mark>[{marks}])\d{{3}}(?:(?P=mark)\d{{3}})*)|\d+"
_NUMBER = r"(?P<sign>[+-]?)(?:[$€£¥]\s?)?(?P<whole>{groups})(?:{decimal}(?P<part>\d+))?(?P<power>[eE][+-]?\d+)?(?:\s?[%$€£¥])?"


def _pattern(marks: str, decimal: str) -> re.Pattern[str]:
    return re.compile(_NUMBER.format(groups=_GROUPS.format(marks=marks), decimal=decimal))


STYLES: tuple[NumberStyle, ...] = ("point", "comma")
_PATTERNS = {"point": _pattern(",'’ \u00a0\u202f", r"\."), "comma": _pattern(".'’ \u00a0\u202f", ",")}


def plain_number(text: str, style: NumberStyle) -> str:
    """A number of that style as `float` reads it; any other text, and any in the plain style, as it is."""
    if style == "plain" or (found := _PATTERNS[style].fullmatch(text.strip())) is None:
        return text
    sign, whole, part, power = found.group("sign", "whole", "part", "power")
    digits = "".join(filter(str.isdigit, whole))
    return f"{sign}{digits}{f'.{part}' if part else ''}{power or ''}"


def plain_numbers(cells: Sequence[str], style: NumberStyle) -> Sequence[str]:
    return cells if style == "plain" else [plain_number(cell, style) for cell in cells]


def style_of(rows: Sequence[Sequence[str]], delimiter: str) -> NumberStyle:
    """The style that makes whole columns of these rows (without the header) numbers which plainly are none.

    Columns such as 1,234 could be either: points then, where a comma separates the cells. Plain where columns disagree.
    """
    votes = {_vote(column) for column in zip(*rows, strict=False)}
    points = bool(votes & {"point", "decimals"})
    if "comma" in votes:
        return "plain" if points else "comma"
    if "either" in votes:
        return "point" if points or delimiter == "," else "comma"
    return "point" if "point" in votes else "plain"


def _vote(column: Sequence[str]) -> str:
    """How a column is written that is of numbers, but for some words: point, comma or either, or as plain decimals."""
    cells = [text for cell in column if (text := cell.strip()).lower() not in MISSING]
    plain = sum(map(_is_number, cells))
    if plain == len(cells):
        return "decimals" if any(map(_has_decimals, cells)) else ""
    counts = {style: sum(_is_number(plain_number(cell, style)) for cell in cells) for style in STYLES}
    fits = [style for style, count in counts.items() if count > plain and count >= 0.9 * len(cells)]
    return "either" if len(fits) == 2 else "".join(fits)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_decimals(text: str) -> bool:
    """Behind a point that cannot stand between groups of three digits."""
    digits = re.match(r"[+-]?\d*\.(\d+)", text)
    return digits is not None and len(digits[1]) != 3
