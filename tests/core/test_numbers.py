"""What is no number in an address is none to the studio, and no fault of it either."""

from __future__ import annotations

from typing import Any

import pytest

from studio.core.numbers import whole


@pytest.mark.parametrize("text", [None, "", " 1", "+1", "-1", "1.0", "²", "٣", "1e3", "0x1", "1" * 19, "1" * 5000, 7])
def test_what_is_no_whole_number(text: Any) -> None:
    assert whole(text) is None


def test_what_is_one() -> None:
    assert [whole("0"), whole("007"), whole("9" * 18), whole("99", 2), whole("100", 2)] == [0, 7, 10**18 - 1, 99, None]
