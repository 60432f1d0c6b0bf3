"""How the numbers of a table are written: 1234.5, $1,234.50 or 1.234,50 €; made plain, such as 1234.50."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

NumberStyle = Literal["plain", "point", "comma"]

_GROUPS = r"[1-9]\d{{0,2}}(?:(?P<mark>[{marks}])\d{{3}}(?:(?P=mark)\d{{3}})*)|\d+"
_NUMBER = r"(?P<sign>[+-]?)(?:[$€£¥]\s?)?(?P<whole>{groups})(?:{decimal}(?P<part>\d+))?(?P<power>[eE][+-]?\d+)?(?:\s?[%$€£¥])?"


def _pattern(marks: str, decimal: str) -> re.Pattern[str]:
    return re.compile(_NUMBER.format(groups=_GROUPS.format(marks=marks), decimal=decimal))


_PATTERNS = {"point": _pattern(",'’ \u00a0\u202f", r"\."), "comma": _pattern(".'’ \u00a0\u202f", ",")}


def plain_number(text: str, style: NumberStyle) -> str:
    """A number of that style as `float` reads it; any other text, and any in the plain style, as it is."""
    if style == "plain" or (found := _PATTERNS[style].fullmatch(text.strip())) is None:
        return text
    sign, whole, part, power = found.group("sign", "whole", "part", "power")
    digits = "".join(filter(str.isdigit, whole))
    return f"{sign}{digits}{f'.{part}' if part else ''}{power or ''}"


def plain_numbers(cells: Sequence[str], style: NumberStyle) -> list[str]:
    return [plain_number(cell, style) for cell in cells]
