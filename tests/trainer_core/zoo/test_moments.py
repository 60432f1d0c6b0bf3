"""Dates of a table: read as people write them, and learned from."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer_core.zoo import CSVTable
from trainer_core.zoo.moments import calendar, date_of, days, is_day_first, moment
from trainer_core.zoo.preprocess import Preprocess
from trainer_core.zoo.splitting import order_keys


@pytest.mark.parametrize(
    ("text", "day_first", "found"),
    [
        ("2026-11-27", False, datetime(2026, 11, 27)),
        ("2026/1/7 9:05", False, datetime(2026, 1, 7, 9, 5)),
        ("2026-11-27T14:30:15.25Z", False, datetime(2026, 11, 27, 14, 30, 15)),
        ("2026-11-27 14:30:15+02:00", False, datetime(2026, 11, 27, 14, 30, 15)),
        ("27.11.2026", True, datetime(2026, 11, 27)),
        ("3/4/24 12:15 AM", False, datetime(2024, 3, 4, 0, 15)),
        ("3/4/24 12:15 pm", True, datetime(2024, 4, 3, 12, 15)),
        ("13/4/2024", False, None),
        ("2026-02-30", False, None),
        ("3/4-2024", False, None),
        ("192.168.1.1", True, None),
        ("", False, None),
    ],
)
def test_a_date_is_read_as_it_is_written(text: str, day_first: bool, found: datetime | None) -> None:
    assert moment(text, day_first=day_first) == found


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["3/4/2024", "13/4/2024"], True),
        (["3/4/2024", "4/13/2024"], False),
        (["3/4/2024"], False),
        (["3.4.2024"], True),
        (["3.4.2024", "4.13.2024"], False),
        (["2024-04-03", ""], False),
    ],
)
def test_other_cells_show_whether_the_day_comes_first(texts: list[str], first: bool) -> None:
    assert is_day_first(texts) is first


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_days_lead_back_to_the_minute_and_to_the_weekday(when: datetime) -> None:
    found = days([when])
    assert abs(date_of(float(found[0])) - when) <= timedelta(seconds=31)
    row = calendar(found, clock=True)[0]
    assert row[2:9].argmax() == when.weekday()
    assert math.atan2(row[9], row[10]) % (2 * math.pi) == pytest.approx(
        2 * math.pi * (when - datetime.combine(when, datetime.min.time())) / timedelta(days=1), abs=1e-4
    )


def test_a_row_without_a_date_is_all_zeros() -> None:
    assert not calendar(days([None]), clock=True).any()
    assert calendar(days([None, datetime(2024, 1, 1)]), clock=False).shape == (2, 9)


def written(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    start = datetime(2024, 1, 1, 6)
    rows = [f"{start + timedelta(hours=7 * i):%d.%m.%Y %H:%M},{i % 3},{i}" for i in range(60)]
    path.write_text("when,x,y\n" + "\n".join(rows) + "\n,1,60\n")
    return path


def test_a_table_with_dates_becomes_numbers_and_words_again(tmp_path: Path) -> None:
    data = CSVTable(str(written(tmp_path)), "y", task="regression", numeric=["x"], dates=["when"])
    data.setup("fit")
    made = data.preprocess
    assert made is not None
    assert (made.day_first, made.clocks, made.gaps) == (["when"], ["when"], ["when"])
    assert made.width == data._parts["train"][0][0].numel() == 1 + 1 + 1 + 9 + 2
    for at in range(len(data._rows["val"])):
        words = data.input_in_words(at, data._parts["val"][at][0])
        assert words is not None
        row = words["row"] - 1
        wanted = datetime(2024, 1, 1, 6) + timedelta(hours=7 * row)
        assert dict(words["values"])["when"] == (f"{wanted:%Y-%m-%d %H:%M}" if row < 60 else "")
    assert Preprocess.from_state(made.state()) == made


def test_a_state_of_before_there_were_dates_is_taken(tmp_path: Path) -> None:
    data = CSVTable(str(written(tmp_path)), "y", task="regression", numeric=["x"])
    data.setup("fit")
    assert data.preprocess is not None
    state = {k: v for k, v in data.preprocess.state().items() if k not in ("dates", "day_first", "clocks")}
    assert Preprocess.from_state(state) == data.preprocess


def test_rows_are_put_in_order_by_dates_of_either_kind() -> None:
    texts = ["27.11.2026", "3.12.2026 08:00", "01.01.2025"]
    assert np.argsort(order_keys(texts)).tolist() == [2, 0, 1]
    assert np.argsort(order_keys(["12/31/2024", "1/2/2024 3:00 PM"])).tolist() == [1, 0]
    assert order_keys([str(date(1970, 1, 2))])[0] == 86400


def test_a_nought_of_a_column_stays_one_in_words(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "".join(f"{i % 3},{i * 1e7},{i}\n" for i in range(40)))
    data = CSVTable(str(path), "y", task="regression", numeric=["a", "b"])
    data.setup("fit")
    words = [data.input_in_words(at, data._parts["val"][at][0]) for at in range(len(data._rows["val"]))]
    assert {dict(one["values"])["a"] for one in words if one} == {"0", "1", "2"}
    assert {float(dict(one["values"])["b"]) for one in words if one} <= {i * 1e7 for i in range(40)}
