"""Numbers out of addresses, where anybody can write anything."""

from __future__ import annotations

MOST_DIGITS = 18  # what every integer column of a database takes


def whole(text: object, most_digits: int = MOST_DIGITS) -> int | None:
    """The whole number from 0 that a text is, None for any other text: signs, spaces, other scripts, too many digits.

    Not `str.isdigit` alone, which is true of `²`, of which `int` makes no number.
    """
    is_one = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= most_digits
    return int(text) if is_one else None  # type: ignore[call-overload]
