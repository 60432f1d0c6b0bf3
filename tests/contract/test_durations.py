"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_core.durations import Duration, parse_duration
from trainer_core.errors import OptionError


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("10ep", 10, "ep"),
        ("0.5ep", 0.5, "ep"),
        ("500st", 500, "st"),
        ("64 ba", 64, "ba"),
        ("1e6sp", 1_000_000, "sp"),
        ("30min", 1800, "s"),
        ("1h30min", 5400, "s"),
        ("1h 30min", 5400, "s"),
        ("250ms", 0.25, "s"),
        ("01:12:00:00", 129600, "s"),
        ("25%", 25, "%"),
        (timedelta(minutes=2), 120, "s"),
    ],
)
def test_every_unit_is_read(text: object, value: float, unit: str) -> None:
    assert parse_duration(text) == Duration(value, unit)  # type: ignore[arg-type]


def test_a_bare_number_needs_a_unit_from_its_option() -> None:
    assert parse_duration(3, bare="ep") == Duration(3, "ep")
    with pytest.raises(OptionError, match="Say the unit"):
        parse_duration("3")


@pytest.mark.parametrize(
    "given_value", ["", "0ep", "-3ep", "1.5st", "101%", "3 weeks", "1h30", True, None, [], "1e999ep"]
)
def test_what_does_not_fit_is_refused_by_name(given_value: object) -> None:
    with pytest.raises(OptionError, match="^every: "):
        parse_duration(given_value, name="every")


@given(st.integers(1, 10**9), st.sampled_from(["ep", "st", "ba", "sp", "s"]))
def test_text_and_value_agree(value: int, unit: str) -> None:
    duration = Duration(value, unit)  # type: ignore[arg-type]
    assert parse_duration(str(duration)) == duration


def test_words_suit_the_size() -> None:
    assert Duration(5400, "s").in_words() == "1.5 hours"
    assert Duration(3, "ep").in_words() == "3 epochs"
