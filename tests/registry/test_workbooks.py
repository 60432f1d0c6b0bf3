"""Tables in Excel workbooks: read as they were typed, by a real child; another sheet on request; what is no table told in words."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from studio.core import blobs
from studio.registry import workbooks
from studio.registry.files import create_dataset_from_address, create_dataset_from_file
from studio.registry.look import workbook as look
from studio.registry.models import DatasetVersion, Upload
from studio.registry.publish import version_with_other_choices
from studio.registry.refs import data_ref
from studio.registry.tables.reading import TableError
from studio.registry.workbooks import is_workbook
from studio.storage.held import of_studio
from studio.storage.sweep import free_without
from studio.storage.trash import size_of_entry
from tests.access.people import People
from tests.registry.conftest import ControlQueue
from tests.registry.files import zipped
from tests.registry.workbook_files import Error, Formula, Raw, workbook

ROWS = [["height", "day", "kind"], *([n + 0.5, date(2026, 1, 1 + n % 28), "ab"[n % 2]] for n in range(40))]
OTHER = [["n", "m"], *([n, n % 3] for n in range(30))]


def register(people: People, control: ControlQueue, data: bytes, **wanted: Any) -> DatasetVersion:
    version = create_dataset_from_file(
        kind="table", project=people.project, user=people.editor, name="D", data=data, filename="d.xlsx", wanted=wanted
    )
    control.work()
    version.refresh_from_db()
    return version


def as_rows(version: DatasetVersion) -> list[list[str]]:
    return list(csv.reader(io.StringIO(blobs.path_of(version.blobs["path"]).read_text(encoding="utf-8"))))


def converted(data: bytes, folder: Path, sheet: str = "") -> tuple[list[list[str]], dict[str, Any]]:
    """In this process, as the child does it."""
    (folder / "book.xlsx").write_bytes(data)
    answer: dict[str, Any] = {}
    look.look({"path": str(folder / "book.xlsx"), "sheet": sheet, "into": str(folder / "out.csv")}, answer)
    return list(csv.reader(io.StringIO((folder / "out.csv").read_text(encoding="utf-8")))), answer


def refused(data: bytes, folder: Path, sheet: str = "") -> TableError:
    with pytest.raises(TableError) as found:
        converted(data, folder, sheet)
    return found.value


def test_cells_are_read_as_they_were_typed(tmp_path: Path) -> None:
    cells = {
        "whole": (3, "3"),
        "large": (Raw("9007199254740991"), "9007199254740991"),
        "fraction": (Raw("1234.56"), "1234.56"),
        "tiny": (Raw("1.5E-10"), "1.5e-10"),
        "percent": (Raw("0.125", 4), "0.125"),
        "day": (date(2026, 11, 27), "2026-11-27"),
        "moment": (datetime(2026, 11, 27, 14, 30), "2026-11-27 14:30:00"),
        "hours": (timedelta(hours=26, minutes=3), "26:03:00"),
        "yes": (True, "true"),
        "text": ('0012, "x"\ny', '0012, "x"\ny'),
        "sum": (Formula("A2+1", 4.5), "4.5"),
        "words": (Formula('"a"&"b"', "ab"), "ab"),
        "wrong": (Error(), ""),
        "nothing": (None, ""),
    }
    rows, answer = converted(workbook({"S": [list(cells), [cell for cell, _ in cells.values()]]}), tmp_path)
    assert dict(zip(*rows, strict=True)) == {name: text for name, (_, text) in cells.items()}
    assert answer == {"sheets": ["S"], "sheet": "S", "notices": []}


def test_the_table_may_begin_anywhere_and_have_empty_rows(tmp_path: Path) -> None:
    sheet = [[], [], [None, None, "x", "y"], [], [None, None, 1, 2], [], [None, None, None, 3]]
    rows, answer = converted(workbook({"S": sheet}), tmp_path)
    assert rows == [["x", "y"], ["1", "2"], ["", "3"]]
    assert answer["notices"] == [
        "The names of the columns were read from row 3 of the sheet, its first with anything in it."
    ]


def test_merged_cells_below_the_names_are_told(tmp_path: Path) -> None:
    data = workbook({"S": [["x", "y"], ["a", 1], [None, 2], ["b", 3]]}, merged={"S": ["A2:A3", "A4:A5"]})
    rows, answer = converted(data, tmp_path)
    assert rows == [["x", "y"], ["a", "1"], ["", "2"], ["b", "3"]]
    assert answer["notices"] == ["Of merged cells (A2:A3 and 1 more) the first has the value; the others are empty."]


@pytest.mark.parametrize(
    ("rows", "merged", "words", "line"),
    [
        ([["Sales"], ["x", "y"], [1, 2]], ["A1:B1"], "Row 1 of the sheet “S” has merged cells, A1:B1.", 1),
        ([[], ["x", "y", "z"], [1, 2, 3]], ["B2:C3"], "Row 2 of the sheet “S” has merged cells, B2:C3.", 2),
        ([["Sales of 2026"], [], ["x", "y"], [1, 2]], [], "holds “Sales of 2026” alone, which looks like a title", 1),
        ([["x", "y", None, None, None], [1, 2, 3, 4, 5]], [], "3 of 5 columns have no name in row 1", 1),
        ([], [], "The sheet “S” is empty.", None),
        ([[None, ""], [""]], [], "The sheet “S” is empty.", None),
    ],
    ids=["merged title", "two rows of names", "title", "no names", "empty", "empty texts"],
)
def test_what_stands_in_place_of_names_is_told_in_words(
    tmp_path: Path, rows: Any, merged: list[str], words: str, line: int | None
) -> None:
    error = refused(workbook({"S": rows}, merged={"S": merged}), tmp_path)
    assert words in error.text
    assert error.line == line
    assert error.hint


def test_hidden_sheets_come_last_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    data = workbook({"Lists": [["secret"], [1]], "B": OTHER, "C": ROWS}, hidden=["Lists"])
    rows, answer = converted(data, tmp_path)
    assert (answer["sheets"], answer["sheet"]) == (["B", "C", "Lists"], "B")
    assert rows[0] == ["n", "m"]
    assert converted(data, tmp_path, "C")[0][0] == ["height", "day", "kind"]
    assert "There is no sheet “D” in it; there is B, C, Lists." in refused(data, tmp_path, "D").text


def test_what_unpacks_to_too_much_is_refused_without_unpacking_it(tmp_path: Path, monkeypatch: Any) -> None:
    bomb = workbook({"S": OTHER}, more={"xl/media/a": bytes(50 << 20)})
    assert len(bomb) < 100_000
    monkeypatch.setattr(look, "MAX_UNPACKED_BYTES", 40 << 20)
    assert "unpacks to 7 files of 52,4" in refused(bomb, tmp_path).text
    monkeypatch.setattr(look, "MAX_FILES", 5)
    assert "unpacks to 6 files" in refused(workbook({"S": OTHER}), tmp_path).text


def test_too_many_columns_or_cells_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(look, "MAX_CELLS", 50)
    error = refused(workbook({"S": OTHER}), tmp_path)
    assert "31 rows and 2 columns" in error.text and "far away" in error.hint


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (workbook({"S": ROWS})[:2000], "zip archive that is no Excel workbook"),
        (zipped({"a.txt": b"x"}), "zip archive that is no Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + bytes(3000), "an old Excel workbook, or one with a password"),
        (zipped({"xl/workbook.xml": b"<workbook"}), "The workbook cannot be read"),
        (workbook({"S": [["x"], [1], [2]]}), "has one column only"),
        (workbook({"S": [["x", "y"]]}), "row"),
    ],
    ids=["cut off", "another zip", "old", "damaged", "one column", "names alone"],
)
def test_what_is_no_table_is_refused_and_not_kept(
    people: People, control: ControlQueue, data: bytes, words: str
) -> None:
    version = register(people, control, data)
    assert version.state == "rejected"
    assert words in version.reason
    assert version.blobs == {}
    assert not Upload.objects.exists()


@pytest.mark.django_db
def test_a_child_that_runs_out_of_memory_is_told_in_words(
    people: People, control: ControlQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell in the last row and column makes a sheet of 17 thousand million cells."""
    monkeypatch.setattr("studio.registry.child.MAX_MEMORY_BYTES", 1 << 30)
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook({"S": OTHER}))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            text = old.read(name)
            if name.endswith("sheet1.xml"):
                text = text.replace(
                    b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
                )
            new.writestr(name, text)
    version = register(people, control, out.getvalue())
    assert version.state == "rejected"
    assert "took too much memory" in version.reason and "far away" in version.info["hint"]


@pytest.mark.django_db
def test_a_sheet_becomes_a_table_that_runs_read_alone(people: People, control: ControlQueue) -> None:
    data = workbook({"S": ROWS})
    version = register(people, control, data, target="kind")
    assert (version.state, version.ref, version.info["workbook"]) == (
        "ready", "CSVTable", {"sheets": ["S"], "sheet": "S", "size_bytes": len(data)},
    )  # fmt: skip
    assert {c["name"]: c["type"] for c in version.schema["columns"]} == {
        "height": "number",
        "day": "date",
        "kind": "category",
    }
    assert as_rows(version)[1] == ["0.5", "2026-01-01", "a"]
    assert blobs.path_of(version.blobs["workbook"]).read_bytes() == data
    assert version.size_bytes == blobs.path_of(version.blobs["path"]).stat().st_size
    stored = len(data) + version.size_bytes
    assert (size_of_entry(version.dataset), free_without([], [version.dataset_id])) == (stored, stored)
    assert of_studio()["datasets"] == stored
    assert set(data_ref(version, {}).files) == {"path"}
    assert not Upload.objects.exists()
    assert register(people, control, data, target="kind").pk == version.pk, "the same is not made twice"
    assert register(people, control, data, target="height").pk != version.pk


@pytest.mark.django_db
def test_words_with_other_separators_stay_whole(people: People, control: ControlQueue) -> None:
    rows = [["a;b;c", "d"], *([f"{n};{n};x", n] for n in range(20))]
    version = register(people, control, workbook({"S": rows}))
    assert [c["name"] for c in version.schema["columns"]] == ["a;b;c", "d"]


@pytest.mark.django_db
def test_another_sheet_is_read_on_request(people: People, control: ControlQueue) -> None:
    version = register(people, control, workbook({"One": ROWS, "Two": OTHER}))
    page = people.client("editor").get(reverse("dataset-version-choices", args=[version.pk])).content.decode()
    assert "Read that sheet" in page and '<option value="Two">' in page
    address = reverse("dataset-version-sheet", args=[version.pk])
    assert people.client("editor").post(address, {"sheet": "Two"}).status_code == 302
    version.refresh_from_db()
    assert (version.state, version.schema) == ("inspecting", {})
    control.work()
    version.refresh_from_db()
    assert (version.state, version.info["workbook"]["sheet"]) == ("choosing", "Two")
    assert as_rows(version)[:2] == [["n", "m"], ["0", "0"]]
    for other in ("Two", "Three", ""):
        people.client("editor").post(address, {"sheet": other})
        version.refresh_from_db()
        assert version.state == "choosing"


@pytest.mark.django_db
def test_a_cover_sheet_is_refused_and_the_table_behind_it_can_be_read(people: People, control: ControlQueue) -> None:
    version = register(people, control, workbook({"Cover": [["Sales of 2026"], ["x", "y"]], "Data": ROWS}))
    assert version.state == "rejected" and "looks like a title" in version.reason
    page = people.client("editor").get(reverse("dataset-version", args=[version.pk])).content.decode()
    assert "Read that sheet" in page
    assert "Read that sheet" not in (
        people.client("viewer").get(reverse("dataset-version", args=[version.pk])).content.decode()
    )
    people.client("editor").post(reverse("dataset-version-sheet", args=[version.pk]), {"sheet": "Data"})
    control.work()
    version.refresh_from_db()
    assert (version.state, version.reason) == ("choosing", "")
    assert as_rows(version)[0] == ["height", "day", "kind"]


@pytest.mark.django_db
def test_a_sheet_can_be_named_in_advance_and_changed_in_a_next_version(people: People, control: ControlQueue) -> None:
    data = workbook({"One": OTHER, "Two": ROWS})
    version = register(people, control, data, sheet="Two", target="kind")
    assert (version.state, version.info["workbook"]["sheet"]) == ("ready", "Two")
    assert workbooks.other_sheets(version) == []
    following = version_with_other_choices(version=version, user=people.editor)
    assert workbooks.other_sheets(following) == ["One"]
    workbooks.read_sheet(following, "One")
    control.work()
    following.refresh_from_db()
    assert as_rows(following)[0] == ["n", "m"]
    version.refresh_from_db()
    assert as_rows(version)[0] == ["height", "day", "kind"], "a ready version never changes"


@pytest.mark.django_db
def test_a_workbook_of_the_server_is_kept_since_no_run_reads_it_there(
    people: People, control: ControlQueue, tmp_path: Path, settings: Any
) -> None:
    settings.DATA_ROOTS = [tmp_path]
    path = tmp_path / "book.xlsx"
    path.write_bytes(workbook({"S": ROWS}))
    version = create_dataset_from_address(
        kind="table", project=people.project, user=people.editor, name="D", address=str(path), wanted={"target": "kind"}
    )
    control.work()
    version.refresh_from_db()
    assert (version.state, "server_file" in version.info) == ("ready", False)
    path.unlink()
    assert blobs.verify(version.blobs["path"]) and blobs.verify(version.blobs["workbook"])
    assert set(data_ref(version, {}).files) == {"path"}


def test_only_a_workbook_is_taken_for_one(tmp_path: Path) -> None:
    for data, expected in ((workbook({"S": OTHER}), True), (zipped({"a": b"x"}), False), (b"a,b\n", False)):
        (tmp_path / "file").write_bytes(data)
        assert is_workbook(tmp_path / "file") is expected
