"""Splits by group keep groups apart; splits by time keep the future out of the past."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.splitting import order_keys, split_groups, split_in_order


@given(
    st.lists(st.integers(0, 9).map(str), min_size=12, max_size=80).filter(lambda g: len(set(g)) > 2),
    st.floats(0.05, 0.4),
    st.floats(0.0, 0.3),
    st.integers(0, 5),
)
def test_no_group_is_in_two_parts(groups: list[str], val: float, test: float, seed: int) -> None:
    rows = np.arange(len(groups))
    parts = split_groups(rows, groups, val_fraction=val, test_fraction=test, seed=seed)
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    seen = [{groups[r] for r in part} for part in parts]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert all(len(part) for part in parts[:2])
    assert len(parts[2]) > 0 or not test


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(MisconfigurationException, match="too few"):
        split_groups(np.arange(5), ["a"] * 5, val_fraction=0.2, test_fraction=0.0, seed=0)


def test_the_latest_rows_are_kept_back() -> None:
    times = ["2026-03-01", "2025-01-01", "NA", "2026-01-01 10:00", "2026/02/01", "2026-01-01"]
    train, val, test = split_in_order(np.arange(6), times, val_fraction=0.2, test_fraction=0.2)
    assert (train.tolist(), val.tolist(), test.tolist()) == ([2, 1, 5, 3], [4], [0])
    assert order_keys(["2", "10", ""]).tolist() == [2.0, 10.0, -np.inf]
    with pytest.raises(MisconfigurationException, match="neither a number nor a date"):
        order_keys(["soon"])
