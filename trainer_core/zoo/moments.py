"""Dates and times in a table: read as they are written, and made into numbers that a network can learn from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

_CLOCK = r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?(?:\s?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})" + _CLOCK)
_YEAR_LAST = re.compile(
    r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second_part>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})" + _CLOCK
)
_EPOCH = datetime(1970, 1, 1)
_CENTURY = 2000  # of years of two digits
WEEKDAYS = 7


def is_day_first(texts: Iterable[str]) -> bool:
    """Whether 3/4/2024 in this column is a day of April: as other cells show; with points yes, else no."""
    pointed = False
    for text in texts:
        found = _YEAR_LAST.fullmatch(text.strip())
        if found is None:
            continue
        if int(found["first"]) > 12:
            return True
        if int(found["second_part"]) > 12:
            return False
        pointed = pointed or found["mark"] == "."
    return pointed


def moment(text: str, *, day_first: bool = False) -> datetime | None:
    """By the clock that is written, without its time zone; None for what is no date."""
    text = text.strip()
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    elif found := _YEAR_LAST.fullmatch(text):
        year = int(found["year"]) + (_CENTURY if len(found["year"]) == 2 else 0)
        month, day = int(found["first"]), int(found["second_part"])
        if day_first:
            month, day = day, month
    else:
        return None
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] in "Pp" else 0)
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def days(moments: Sequence[datetime | None]) -> NDArray[np.float64]:
    """Since 1970; NaN where there is none."""
    return np.array([math.nan if m is None else (m - _EPOCH) / timedelta(days=1) for m in moments], dtype=np.float64)


def date_of(days_since: float) -> datetime:
    """To the minute."""
    return _EPOCH + timedelta(minutes=round(days_since * 24 * 60))


def calendar(days_since: NDArray[np.float64], *, clock: bool) -> NDArray[np.float64]:
    """(rows, 9 or 11): season as sine and cosine of the year, one column a weekday, and with `clock` those of the day.

    Zeros where there is no date.
    """
    there = ~np.isnan(days_since)
    known = np.where(there, days_since, 0.0)
    whole = np.floor(known)
    year = 2 * np.pi * known / 365.2425
    weekday = np.eye(WEEKDAYS)[(whole.astype(np.int64) + 3) % WEEKDAYS]  # 1 January 1970 was a Thursday
    parts = [np.sin(year)[:, None], np.cos(year)[:, None], weekday]
    if clock:
        time = 2 * np.pi * (known - whole)
        parts += [np.sin(time)[:, None], np.cos(time)[:, None]]
    return np.concatenate(parts, axis=1) * there[:, None]
