"""Options as data: what they accept, what they refuse, and in which words."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_core.errors import OptionError
from trainer_core.options import TRAINER_OPTIONS, OptionSpec, parse_all, parse_number


@pytest.mark.parametrize(
    ("text", "value"), [("3e-4", 3e-4), ("1/3", 1 / 3), ("0.1*2", 0.2), ("-(1+2)", -3), ("1_000", 1000), (" 7 ", 7)]
)
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "2**99", "__import__('os')", "1/0", "(" * 60, "9" * 65, "True", "1,2", "[1]"]
)
def test_anything_else_is_not_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        parse_number(text)


@given(st.text(max_size=80))
def test_no_text_does_more_than_raise_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_number(text), int | float)


def test_an_error_names_the_option_the_value_and_what_is_allowed() -> None:
    with pytest.raises(OptionError) as caught:
        TRAINER_OPTIONS["accumulate_grad_batches"].parse("0")
    assert str(caught.value) == "accumulate_grad_batches: got 0, allowed is a whole number of at least 1."


@pytest.mark.parametrize("given_value", ["2.5", "nan", "inf", True, [], "1e999", None])
def test_a_whole_number_is_whole(given_value: object) -> None:
    with pytest.raises(OptionError):
        TRAINER_OPTIONS["accumulate_grad_batches"].parse(given_value)


def test_a_number_keeps_int_and_float_apart() -> None:
    spec = TRAINER_OPTIONS["limit_train_batches"]
    assert type(spec.parse("1")) is int
    assert type(spec.parse("1.0")) is float


def test_parse_all_keeps_what_differs_and_reports_every_error() -> None:
    values, errors = parse_all(
        TRAINER_OPTIONS, {"max_epochs": "3", "num_nodes": "1", "max_steps": "many", "max_epoch": "3"}
    )
    assert values == {"max_epochs": 3}
    assert set(errors) == {"max_steps", "max_epoch"}
    assert "max_epochs" in errors["max_epoch"]


@pytest.mark.parametrize("spec", TRAINER_OPTIONS.values(), ids=lambda s: s.name)
def test_every_trainer_option_has_help_and_survives_json(spec: OptionSpec) -> None:
    assert spec.help.endswith(".")
    assert OptionSpec.from_dict(spec.to_dict()) == spec


def test_lists_and_choices_are_read_from_text() -> None:
    assert OptionSpec("widths", "list", item_kind="int").parse("64, 32") == [64, 32]
    assert OptionSpec("n", "choice", choices=(1, 2)).parse("2") == 2
    with pytest.raises(OptionError, match="one of 1, 2"):
        OptionSpec("n", "choice", choices=(1, 2)).parse("3")


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("64", 64),
        ("1e-3", 1e-3),
        ("1/4", 0.25),
        ("yes", True),
        ("False", False),
        ("2, 2", [2, 2]),
        ("[2, [3, 4.5]]", [2, [3, 4.5]]),
        ("(1,)", [1]),
        ("['a', None]", ["a", None]),
        ("VGG16", "VGG16"),
        ("a, b", "a, b"),
        ("[open", "[open"),
        ("[1, x]", "[1, x]"),
        ("[{1: 2}]", "[{1: 2}]"),
        ("[" * 300, "[" * 300),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
        (3, 3),
        ([1, "a"], [1, "a"]),
        (None, None),
        ("", None),
    ],
)
def test_a_value_of_no_type_is_read_as_what_it_looks_like(given: object, value: object) -> None:
    found = OptionSpec("width", "value", nullable=True).parse(given)
    assert (found, type(found)) == (value, type(value))
    if value is not None:
        assert OptionSpec("width", "value").parse(str(value)) == value
