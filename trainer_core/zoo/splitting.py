"""Splits that keep what belongs together apart from the rest: by group, and by time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.moments import is_day_first, moment
from trainer_core.zoo.preprocess import is_missing

Rows = NDArray[np.int64]


def split_groups(
    rows: Rows, groups: Sequence[str], *, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Rows, Rows, Rows]:
    """Train, validation and test rows such that no value of `groups` is in two of them.

    Groups are taken in a random order into the test and then the validation part as long as they fit its share, so that
    a part is at most as large as asked for, and may be smaller by less than a group. A blank value is a group of its own.
    """
    names, numbers, sizes = np.unique([groups[r].strip() for r in rows], return_inverse=True, return_counts=True)
    if len(names) < 2 + (test_fraction > 0):
        raise MisconfigurationException(f"{len(names)} group is too few to split by; each part needs one of its own.")
    part_of = np.zeros(len(names), dtype=np.int64)
    wanted = {2: test_fraction * len(rows), 1: val_fraction * len(rows)}
    order = np.random.default_rng(seed).permutation(len(names))
    for part, share in wanted.items():
        room, free = share, [g for g in order if part_of[g] == 0]
        for group in free:
            if sizes[group] <= room:
                part_of[group], room = part, room - sizes[group]
        if share and room == share:  # every group is larger than the share: the smallest is the least wrong
            part_of[min(free, key=lambda g: sizes[g])] = part
    place = part_of[numbers.reshape(-1)]
    return rows[place == 0], rows[place == 1], rows[place == 2]


def split_in_order(
    rows: Rows, times: Sequence[str], *, val_fraction: float, test_fraction: float
) -> tuple[Rows, Rows, Rows]:
    """The earliest rows to train on, later ones to validate and the latest to test; rows without a time come first."""
    keys = order_keys([times[r] for r in rows])
    in_order = rows[np.argsort(keys, kind="stable")]
    test, val = round(len(rows) * test_fraction), round(len(rows) * val_fraction)
    train = len(rows) - test - val
    return in_order[:train], in_order[train : train + val], in_order[train + val :]


def order_keys(texts: Sequence[str]) -> NDArray[np.float64]:
    """A number for each text by which they sort: numbers as such, dates by their time, blanks as -∞.

    MisconfigurationException for what is neither a number nor a date such as 2026-11-27, 2026-11-27 14:30:00 or 27.11.2026.
    """
    day_first = is_day_first(texts)
    return np.array([_key(text.strip(), day_first) for text in texts], dtype=np.float64)


def _key(text: str, day_first: bool) -> float:
    if is_missing(text):
        return -np.inf
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        read = moment(text, day_first=day_first)
        if read is None:
            raise MisconfigurationException(f"{text!r} is neither a number nor a date like 2026-11-27 14:30.") from None
        found = read
    start = datetime(1970, 1, 1, tzinfo=found.tzinfo)
    return (found - start).total_seconds()
