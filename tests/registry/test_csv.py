"""A table is read once, in bounded memory; what is wrong with it is said with its line and what to do."""

from __future__ import annotations

import csv
import io
import math
import statistics
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.registry.tables import cells, reading
from studio.registry.tables.columns import Column
from studio.registry.tables.inspection import Table, inspect_csv
from studio.registry.tables.reading import MAX_CELL_CHARS, MAX_LINE_CHARS, TableError
from trainer_core.zoo import numerals
from trainer_core.zoo.preprocess import is_missing, read_table


def table(tmp_path: Path, content: str | bytes) -> Table:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return inspect_csv(path)


def column(found: Table, name: str) -> dict[str, Any]:
    return next(c for c in found.columns if c["name"] == name)


FLOWERS = "sepal,kind\n" + "".join(f"{i / 10},{'abc'[i % 3]}\n" for i in range(60))

HOSTILE: dict[str, tuple[bytes, str, int | None]] = {
    "0 bytes": (b"", "0 bytes", None),
    "blank lines only": (b"\n\n\n", "blank lines only", None),
    "a header only": (b"a,b\n", "no rows", None),
    "a header and blank lines": (b"a,b\n\n\n", "no rows", None),
    "one column": (b"a\n1\n2\n", "one column only", 1),
    "a row too short": (b"a,b,c\n1,2,3\n1,2\n", "1 of 2 rows does not have 3 cells as line 1 has: line 3 has 2", 3),
    "a line of spaces": (b"a,b\n1,2\n   \n3,4\n", "line 3 has 1", 3),
    "rows too long": (b"a,b\n1,2\n1,2,3\n\n1,2,3,4\n", "2 of 3 rows do not have 2 cells", 3),
    "ragged after a quoted line break": (b'a,b\n"x\ny",2\n1\n', "line 4 has 1", 4),
    "a title above the names": (b"Report;;;\na;b;c;d\n1;2;3;4\n", "3 of 4 columns have no name", 1),
    "a name of 201 characters": (b"a," + b"x" * 201 + b"\n1,2\n", "longer than 200", 1),
    "a name with a control character": (b"a,b\x07\n" + b"1,2\n" * 100, "cannot be shown", 1),
    "NUL in the header": (b"a,\0b\n1,2\n", "Line 1 holds a NUL", 1),
    "NUL far inside": (b"a,b\n" + b"1,2\n" * 100_000 + b"1,\0\n", "Line 100,002 holds a NUL", 100_002),
    "a workbook": (b"PK\x03\x04" + b"\x14" * 50, "Excel workbook", None),
    "gzip": (b"\x1f\x8b\x08" + b"\x01" * 50, "gzip", None),
    "Parquet": (b"PAR1" + b"\x15" * 50, "Parquet", None),
    "an image": (b"\x89PNG\r\n\x1a\n" + b"\x01" * 50, "PNG", None),
    "UTF-16 cut in a letter": ("a,b\n1,2\n3,4\n".encode("utf-16")[:-1], "UTF-16, but goes on otherwise", None),
    "UTF-16 that is none": (b"\xff\xfe" + b"\x00\xdc" * 9, "UTF-16, but goes on otherwise", None),
    "control characters": (bytes(range(1, 32)) * 20, "not a text file", None),
    "an open quote": (b'a,b\n1,"2\n' + b"3,4\n" * 40_000, "line 2 has a cell of more than", 2),
    "an endless line": (b"a,b\n1," + b"9" * (MAX_LINE_CHARS + 10) + b"\n", "Line 2 is longer than", 2),
    "a million columns": (b"a" + b",a" * 1_000_000 + b"\n", "1,000,001 columns", None),
    "an endless header": (b"x" * (MAX_LINE_CHARS + 10), "Line 1 is longer than", 1),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_table_is_refused_in_words(tmp_path: Path, case: str) -> None:
    content, words, line = HOSTILE[case]
    with pytest.raises(TableError) as raised:
        table(tmp_path, content)
    assert words in raised.value.text
    assert raised.value.line == line
    assert "Traceback" not in str(raised.value)
    assert len(str(raised.value)) < 600


GOOD: dict[str, tuple[bytes, str, str]] = {
    "semicolons": (b"a;b\n1;x\n2;y\n", ";", "utf-8"),
    "tabs": (b"a\tb\n1\tx\n2\ty\n", "\t", "utf-8"),
    "bars": (b"a|b\n1|x\n2|y\n", "|", "utf-8"),
    "commas inside of quotes": (b'a;b\n"1,5,2";x\n"2,5,3";y\n', ";", "utf-8"),
    "a mark at the start": (b"\xef\xbb\xbfa,b\n1,x\n2,y\n", ",", "utf-8-sig"),
    "Latin-1": ("a,b\n1,Größe\n2,y\n".encode("latin-1"), ",", "latin-1"),
    "Latin-1 far inside": (b"a,b\n" + b"1,x\n" * 100_000 + "2,ü\n".encode("latin-1"), ",", "latin-1"),
    "UTF-16 as Excel writes it": ("a\tb\r\n1\tx\r\n2\tÜ\r\n".encode("utf-16"), "\t", "utf-16"),
    "Windows line ends": (b"a,b\r\n1,x\r\n2,y\r\n", ",", "utf-8"),
    "old line ends": (b"a,b\r1,x\r2,y\r", ",", "utf-8"),
    "no line end at the end": (b"a,b\n1,x\n2,y", ",", "utf-8"),
    "blank lines between": (b"a,b\n\n1,x\n\n2,y\n\n", ",", "utf-8"),
    "a name of emoji": ("a,👩‍🔬\n1,x\n2,y\n".encode(), ",", "utf-8"),
}


@pytest.mark.parametrize("case", [c for c in GOOD if c != "a name of emoji"])
def test_a_good_table_is_read_as_it_is_written(tmp_path: Path, case: str) -> None:
    content, delimiter, encoding = GOOD[case]
    found = table(tmp_path, content)
    assert (found.dialect.delimiter, found.dialect.encoding) == (delimiter, encoding)
    assert [c["name"] for c in found.columns] == ["a", "b"]
    assert found.rows == (100_001 if "far" in case else 2)
    assert ("not UTF-8" in " ".join(found.notices)) == (encoding == "latin-1")


@pytest.mark.parametrize(
    ("header", "names", "words"),
    [
        ("a,b,a", ["a", "b", "a (2)"], "Column 3 is called “a” as one before it; here it is “a (2)”."),
        ("a,b, a", ["a", "b", "a (2)"], "Column 3 is called “a”"),
        ("a,a,a (2)", ["a", "a (3)", "a (2)"], "here it is “a (3)”"),
        (",a,b", ["column 1", "a", "b"], "Column 1 has no name in line 1; it is called “column 1”."),
        ("a,b,", ["a", "b", "column 3"], "Column 3 has no name"),
        ("column 2,,c", ["column 2", "column 2 (2)", "c"], "it is called “column 2 (2)”"),
    ],
)
def test_each_column_gets_a_name_of_its_own(tmp_path: Path, header: str, names: list[str], words: str) -> None:
    found = table(tmp_path, f"{header}\n1,2,3\n4,5,6\n")
    assert [c["name"] for c in found.columns] == names
    assert words in found.notices[0]
    assert list(read_table(tmp_path / "t.csv")) == names, "the engine has other names"


def test_many_columns_without_a_name_are_counted(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b,c,d,e,f,g,h,i,,,,,,,\n" + ",".join("1" * 16) + "\n")
    assert found.notices[-1] == "So it is with 2 more columns."
    assert len(found.notices) == 6


NUMBERS: dict[str, tuple[str, str, list[float]]] = {
    "decimal commas": ("a;b\n1,5;x\n-2,25;y\n", "comma", [1.5, -2.25]),
    "decimal commas and groups": ("a;b\n1.234,5;x\n12;y\n1.000;z\n", "comma", [1234.5, 12, 1000]),
    "groups of spaces": ("a;b\n1 234,5;x\n1\u202f000;y\n", "comma", [1234.5, 1000]),
    "euros": ("a;b\n1.234,50 €;x\n0,99 €;y\n", "comma", [1234.5, 0.99]),
    "dollars": ('a,b\n"$1,234.50",x\n-$5,y\n', "point", [1234.5, -5]),
    "percent": ("a,b\n12.5%,x\n7 %,y\n", "point", [12.5, 7]),
    "groups in quotes": ('a,b\n"1,234",x\n"12,345,678",y\n', "point", [1234, 12345678]),
    "three digits behind commas": ("a;b\n1,234;x\n5,678;y\n", "comma", [1.234, 5.678]),
    "Swiss groups": ("a;b\n1'234.5;x\n7;y\n", "point", [1234.5, 7]),
    "powers": ("a;b\n1,5e3;x\n2,5E-1;y\n", "comma", [1500, 0.25]),
    "plain": ("a;b\n1.5;x\n1e3;y\n", "plain", [1.5, 1000]),
    "gaps between": ("a;b\n1,5;x\nNA;y\n;z\n2,5;z\n", "comma", [1.5, 2.5]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_are_read_as_they_are_written_and_that_is_said(tmp_path: Path, case: str) -> None:
    content, style, values = NUMBERS[case]
    found = table(tmp_path, content)
    assert found.dialect.number_style == style
    assert found.notices == list(reading.STYLE_NOTICES[found.dialect.number_style])
    said = column(found, "a")
    assert (said["type"], said["min"], said["max"]) == ("number", min(values), max(values))
    assert found.preview[0][0] == next(csv.reader([content.splitlines()[1]], delimiter=found.dialect.delimiter))[0]
    dialect = found.dialect
    there = read_table(tmp_path / "t.csv", delimiter=dialect.delimiter, style=dialect.number_style)["a"]
    assert [float(cell) for cell in there if not is_missing(cell)] == values, "the engine reads other numbers"


@pytest.mark.parametrize(
    "content",
    ["a;b;c\n1,5;2.25;x\n2,5;3.5;y\n", "a;b\n01.02.2024;x\n03.04.2024;y\n", 'a,b\n"1,5,2",1\n"2,5,3",2\n'],
    ids=["commas beside points", "dates", "lists"],
)
def test_what_could_be_no_number_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    found = table(tmp_path, content)
    assert found.dialect.number_style == "plain"
    assert column(found, "a")["type"] in ("category", "date")


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text("0123456789.,'’ -+eE$€% \u202fx", max_size=14)
    | st.from_regex(r"-?[1-9]\d{0,2}([., ]\d{3}){0,2}[.,]\d{1,3}", fullmatch=True),
    style=st.sampled_from(["plain", "point", "comma"]),
)
def test_the_engine_makes_the_same_numbers_plain(text: str, style: cells.NumberStyle) -> None:
    assert cells.plain_number(text, style) == numerals.plain_number(text, style)


def test_columns_that_say_the_same_in_other_words_are_pointed_out(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},{'no yes'.split()[i % 2]},{i % 3},{i},{i / 7}\n" for i in range(40))
    found = table(tmp_path, "survived,alive,deck,row,other\n" + rows)
    said = {c["name"]: [n for n in c["notices"] if "same" in n] for c in found.columns}
    assert said.pop("alive") == ["Says the same as “survived” in every row, in other words."]
    assert not any(said.values())


def test_columns_that_agree_but_for_one_row_do_not_say_the_same(tmp_path: Path) -> None:
    rows = [f"{i % 2},{'no yes'.split()[i % 2]}\n" for i in range(5000)]
    rows[4321] = "1,no\n"
    assert not any(c["notices"] for c in table(tmp_path, "a,b\n" + "".join(rows)).columns)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_rows_do_not_depend_on_where_a_part_ends(monkeypatch: pytest.MonkeyPatch, size: int, end: str) -> None:
    monkeypatch.setattr(reading, "PART_CHARS", size)
    text = end.join(["a,b", "1,x", "", '"2', 'and more","y"', "3,zz", "4,"])
    for whole in (text, text + end, end + text + end + end):
        found = [row for _, row in reading.read_rows(io.StringIO(whole, newline=""), reading.Dialect("utf-8", ","))]
        assert found == [row for row in csv.reader(io.StringIO(whole, newline="")) if row]
        with pytest.raises(TableError, match=f"Line {whole[: whole.index('zz')].count(end) + 1} holds a NUL"):
            list(reading.read_rows(io.StringIO(whole.replace("zz", "\0"), newline=""), reading.Dialect("utf-8", ",")))


def test_missing_cells_are_the_same_on_the_quick_way_and_the_slow_one() -> None:
    cells = ["", "NA", "na", "N/a", "#N/A", "NaN", "nUlL", "None", "-", "?", "x", "nan0", "7"]
    quick, slow = Column("a"), Column("a")
    quick.add(cells, 1)
    slow.add([f" {cell} " for cell in cells], 1)
    assert (quick.missing, quick.rows) == (10, 13)
    assert quick.describe() == slow.describe()


def test_the_notice_names_the_line_that_is_not_utf_8(tmp_path: Path) -> None:
    assert "line 100,002" in table(tmp_path, GOOD["Latin-1 far inside"][0]).notices[0]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([str(i / 7) for i in range(40)], "number"),
        (["1", "", "3", "NaN", "n/a"], "number"),
        (["red", "green", "red", ""], "category"),
        (["True", "False"] * 5, "category"),
        (["2024-01-02", "2024-02-03", "2024-03-04"], "date"),
        (["2024-01-02 10:20:30", "2024-02-03T10:20:30Z"], "date"),
        (["03/04/2024", "1.2.2024"], "date"),
        (["same"] * 5, "constant"),
        (["", "NA", "null"], "empty"),
        ([str(i) for i in range(50)], "id"),
        ([f"u{i:04}" for i in range(50)], "id"),
        ([f"this is the remark number {i} about it, at some length" for i in range(60)], "text"),
        (["1,5", "2,5", "1,5"], "category"),
    ],
)
def test_the_type_of_a_column_is_recognised(cells: list[str], kind: str) -> None:
    found = Column("x")
    found.add(cells, 1)
    assert found.describe()["type"] == kind


def test_numbers_with_decimal_commas_and_odd_cells_are_pointed_out() -> None:
    commas, odd = Column("x"), Column("y")
    commas.add(["1,5", "2,5", "1,5"], 1)
    odd.add([str(3 * i) for i in range(99)] + ["unknown"], 1)
    assert "decimal points" in commas.describe()["notices"][0]
    said = odd.describe()
    assert said["notices"] == ["1 cell is not a number, such as “unknown” in row 100; it counts as missing."]
    assert (said["type"], said["words"], said["max"], said["missing"]) == ("number", 1, 294.0, 0)


def test_a_few_numbers_beside_words_stay_categories() -> None:
    found = Column("x")
    found.add([str(i % 5) for i in range(99)] + ["other"], 1)
    assert found.describe()["type"] == "category"
    assert "the rest are" in found.describe()["notices"][0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), min_size=1, max_size=300),
    cut=st.integers(1, 50),
)
def test_statistics_equal_those_of_all_values_whatever_the_batches(values: list[float | None], cut: int) -> None:
    found = Column("x", sample=40)
    cells = ["" if v is None else repr(v) for v in values]
    for at in range(0, len(cells), cut):
        found.add(cells[at : at + cut], at + 1)
    said, there = found.describe(), [v for v in values if v is not None]
    assert said["missing"] == len(values) - len(there)
    if not there:
        return
    assert (said["min"], said["max"]) == (min(there), max(there))
    assert said["mean"] == pytest.approx(statistics.fmean(there), rel=1e-9, abs=1e-3)
    assert said["std"] == pytest.approx(statistics.pstdev(there), rel=1e-6, abs=1e-3)
    if "histogram" in said:
        assert sum(said["histogram"]["counts"]) == min(len(there), 40)


def test_infinite_and_huge_numbers_do_not_reach_the_statistics() -> None:
    found = Column("x")
    found.add(["1", "2", "inf", "-Infinity", "1e400", "nan"], 1)
    said = found.describe()
    assert (said["min"], said["max"], said["missing"]) == (1.0, 2.0, 1)
    assert "3 cells are infinite" in said["notices"][0]
    assert all(math.isfinite(v) for v in (said["mean"], said["std"]))


def test_many_different_values_are_estimated(tmp_path: Path) -> None:
    rows = 60_000
    found = table(tmp_path, "a,b\n" + "".join(f"word{i} x,{i % 2}\n" for i in range(rows)))
    words = column(found, "a")
    assert not words["distinct_is_exact"]
    assert words["distinct"] == pytest.approx(rows, rel=0.15)


def test_the_counts_of_classes_are_whole(tmp_path: Path) -> None:
    found = table(tmp_path, FLOWERS + "9.9,rare\n")
    assert column(found, "kind")["classes"] == {
        "counts": [("a", 20), ("b", 20), ("c", 20), ("rare", 1)],
        "singles": 1,
        "single": "rare",
    }


def test_the_preview_is_short(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b\n" + f"{'x' * 5000},1\n" * 100)
    assert len(found.preview) == 50
    assert {len(row[0]) for row in found.preview} == {200}


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Five times the rows: less than a tenth of the further bytes stays in memory."""
    peaks = []
    for rows in (20_000, 100_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("a,b\n" + "".join(f"{i * 7 % 1000},text {i}\n" for i in range(rows)))
        tracemalloc.start()
        inspect_csv(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 0.1 * 1_200_000, peaks


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400) | st.text("ab,;\t\"'\n\r 1.éx\0", max_size=200).map(str.encode))
def test_whatever_arrives_is_read_or_refused_in_words(tmp_path: Path, content: bytes) -> None:
    try:
        found = table(tmp_path, content)
    except TableError:
        return
    assert found.rows > 0
    assert len(found.columns) >= 2


def test_a_cell_may_be_as_long_as_the_limit(tmp_path: Path) -> None:
    assert table(tmp_path, f"a,b\n{'x' * (MAX_CELL_CHARS - 1)},1\ny,2\n").rows == 2
