"""What the wizard accepts the engine can read: the same rows, classes and columns, whatever the table."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from studio.registry.builtin import data_params
from studio.registry.choices import csv_args, problems, suggest, summary
from studio.registry.tables.inspection import inspect_csv
from studio.registry.tables.reading import TableError
from trainer_core.zoo import CSVTable

MISSING = st.sampled_from(["", "NA", " nan ", "?", "None"])
WORDS = st.sampled_from(["red", "green ", " blue", "a,b", 'say "x"', "line\nbreak", "é", "-1", "true", "1_000"])
NUMBERS = st.one_of(
    st.floats(-1e6, 1e6, width=32).map(repr),
    st.integers(-50, 50).map(str),
    st.sampled_from(["inf", "-Infinity", "1e400", " 7 ", "1e3"]),
)
DATES = st.dates().map(str)
CELLS = [WORDS, NUMBERS, DATES, st.one_of(NUMBERS, MISSING), st.one_of(WORDS, MISSING), st.one_of(NUMBERS, WORDS)]


@st.composite
def tables(draw: Any) -> list[list[str]]:
    width, rows = draw(st.integers(2, 5)), draw(st.integers(4, 40))
    kinds = [draw(st.sampled_from(CELLS)) for _ in range(width)]
    header = [f"c{i}" for i in range(width)]
    return [header, *([draw(kind) for kind in kinds] for _ in range(rows))]


def written(rows: list[list[str]], delimiter: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=tables(),
    delimiter=st.sampled_from(",;\t|"),
    target=st.integers(0, 1),
    split=st.sampled_from(["shuffled", "stratified"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1"]),
)
def test_the_engine_reads_what_the_wizard_accepts(
    tmp_path: Path, rows: list[list[str]], delimiter: str, target: int, split: str, encoding: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(written(rows, delimiter).encode(encoding))
    try:
        found = inspect_csv(path).schema()
    except TableError:
        assume(False)
    wanted = {"target": f"c{target}", "split": split, "drop_missing_target": True, "test_fraction": 0.1}
    choices = suggest(found, wanted)
    assume(not problems(found, choices))
    data = CSVTable(path=str(path), **csv_args(found, choices))
    data.setup("fit")
    said = summary(found, choices)
    parts = {"train": data.train_dataloader(), "val": data.val_dataloader()}
    assert {name: len(loader.dataset) for name, loader in parts.items()} == {n: said["rows"][n] for n in parts}  # type: ignore[arg-type]
    assert data.facts is not None
    assert data.facts.task == said["task"]
    assert data.facts.classes == said["classes"]
    x, y = next(iter(parts["train"]))
    assert x.isfinite().all()
    assert y.isfinite().all()


def test_words_in_a_column_of_numbers_are_gaps_for_the_engine_too(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x;kind\n" + "".join(f"{i // 10},{i % 10};{'ab'[i % 2]}\n" for i in range(60)) + "unbekannt;a\n")
    found = inspect_csv(path).schema()
    args = csv_args(found, suggest(found))
    assert (args["numeric"], args["number_style"], args["words_as_missing"]) == (["x"], "comma", True)
    data = CSVTable(path=str(path), **args)
    data.setup("fit")
    assert data.preprocess is not None
    assert data.preprocess.gaps == ["x"]
    assert data.preprocess.means["x"] == pytest.approx(2.95, abs=0.4)


@pytest.mark.parametrize(
    ("pattern", "notice"),
    [("%Y-%m-%d", ""), ("%d.%m.%Y %H:%M", ""), ("%m/%d/%Y %I:%M %p", ""), ("0%w/01/2024", "month first"), ("0%w.01.2024", "day first")],
)  # fmt: skip
def test_dates_are_dates_for_both(tmp_path: Path, pattern: str, notice: str) -> None:
    path = tmp_path / "t.csv"
    moments = [datetime(2024, 1, 1) + timedelta(hours=31 * i) for i in range(60)]
    texts = [f"{when:{pattern}}".replace("00/", "07/").replace("00.01", "07.01") for when in moments]
    path.write_text("when,kind\n" + "".join(f"{text},{'ab'[i % 2]}\n" for i, text in enumerate(texts)))
    found = inspect_csv(path).schema()
    column = found["columns"][0]
    assert (column["type"], column["sorts"]) == ("date", True)
    assert notice in " ".join(column["notices"])
    assert bool(notice) == bool(column["notices"])
    choices = suggest(found, {"target": "kind", "split": "time", "split_by": "when"})
    assert (problems(found, choices), choices.uses["when"]) == ({}, "date")
    data = CSVTable(path=str(path), **csv_args(found, choices))
    data.setup("fit")
    assert data.preprocess is not None
    assert data.preprocess.dates == ["when"]
    assert not data.preprocess.gaps, "some date was not read"
    assert data._rows["val"].min() == 48 or notice, "the latest rows"


def test_the_wizard_fixes_all_that_the_form_of_a_run_should_not_ask(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60)))
    found = inspect_csv(path).schema()
    asked = {p["name"] for p in data_params("CSVTable")} - set(csv_args(found, suggest(found)))
    assert asked == {"path", "batch_size", "num_workers"}


@pytest.mark.parametrize("name", ["a;b", "a,b", " a", "ä"])
def test_odd_column_names_survive(tmp_path: Path, name: str) -> None:
    rows = [[name, "kind"], *([str(i), "xy"[i % 2]] for i in range(20))]
    path = tmp_path / "t.csv"
    path.write_text(written(rows, ","), encoding="utf-8")
    found = inspect_csv(path).schema()
    assert [c["name"] for c in found["columns"]] == [name.strip(), "kind"]
    choices = suggest(found, {"target": "kind", "uses": {name.strip(): "number"}})
    CSVTable(path=str(path), **csv_args(found, choices)).setup("fit")
