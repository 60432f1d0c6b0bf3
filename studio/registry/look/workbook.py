"""`python -m studio.registry.look.workbook ORDER.json OUT.json`: one sheet of an Excel workbook as a CSV, without Django.

ORDER is `{"path", "sheet", "into"}`, an empty sheet meaning the first one that is shown; OUT is `{"sheets", "sheet",
"notices"}`, with `{"error": {"text", "line", "hint"}}` where it cannot be a table. Numbers and dates are written as they
are typed, not as they are shown, formulas as the values that were saved with them. Run in a child, since the file is
somebody else's.
"""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from studio.registry.tables.reading import MAX_COLUMNS, TableError

MAX_FILES, MAX_UNPACKED_BYTES, MAX_CELLS = 10_000, 2 << 30, 100_000_000
EXACT = 2**53
NAMES = "The first row with anything in it must hold one name for each column."
Merged = tuple[tuple[int, int], tuple[int, int]]


def look(order: dict[str, Any], answer: dict[str, Any]) -> None:
    """Fills the answer, also where it raises TableError."""
    path = Path(order["path"])
    check_size(path)
    import python_calamine as calamine

    try:
        with calamine.load_workbook(path) as book:
            answer["sheets"] = _shown(book, calamine)
            answer["sheet"] = name = order["sheet"] or next(iter(answer["sheets"]), "")
            if name not in answer["sheets"]:
                raise TableError(
                    f"There is no sheet “{name}” in it; there is {', '.join(answer['sheets'][:20]) or 'none'}."
                )
            sheet = book.get_sheet_by_name(name)
            answer["notices"] = write_sheet(sheet, Path(order["into"]))
    except calamine.PasswordError as error:
        raise TableError("The workbook has a password.", hint="Save it without one.") from error
    except calamine.CalamineError as error:
        raise TableError(
            f"The workbook cannot be read: {error}.", hint="Open and save it again, or save it as CSV."
        ) from error


def check_size(path: Path) -> None:
    """TableError for what would unpack to more than is read; looks at the directory alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise TableError("The workbook is damaged: it is no whole .xlsx file.", hint="Send it again.") from error
    size = sum(info.file_size for info in infos)
    if len(infos) > MAX_FILES or size > MAX_UNPACKED_BYTES:
        text = (
            f"The workbook unpacks to {len(infos):,} files of {size:,} bytes; at most {MAX_UNPACKED_BYTES:,} are read."
        )
        raise TableError(text, hint="Save the sheet as CSV or Parquet.")


def write_sheet(sheet: Any, into: Path) -> list[str]:
    """Write the table, from its row of names on and without empty rows; what people should know of it, in words."""
    if sheet.width > MAX_COLUMNS or sheet.width * sheet.height > MAX_CELLS:
        text = f"The sheet “{sheet.name}” has {sheet.height:,} rows and {sheet.width:,} columns, which is more than is read."
        raise TableError(text, hint="If the table is smaller, something stands far away from it: delete that.")
    rows = _filled(sheet)
    number, names = next(rows, (0, []))
    if not names:
        raise TableError(f"The sheet “{sheet.name}” is empty.", hint="Choose another sheet, or fill this one.")
    merged = [one for one in sheet.merged_cell_ranges or () if one[0] != one[1]]
    _check_names(sheet.name, number, names, merged)
    with into.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(row for _, row in rows)
    return list(_notices(number, merged))


def _shown(book: Any, calamine: Any) -> list[str]:
    """The names of the sheets with cells, those that are hidden last."""
    sheets = [one for one in book.sheets_metadata if one.typ == calamine.SheetTypeEnum.WorkSheet]
    hidden = [one for one in sheets if one.visible != calamine.SheetVisibleEnum.Visible]
    return [one.name for one in sheets if one not in hidden] + [one.name for one in hidden]


def _filled(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """(number in the sheet, cells) of each row with something in it."""
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [_text(cell) for cell in row]
        if any(cells):
            yield number, cells


def _text(cell: Any) -> str:
    if type(cell) is str:
        return cell
    if type(cell) is float:
        return str(int(cell)) if cell.is_integer() and abs(cell) < EXACT else repr(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.isoformat(" ", "seconds" if not cell.microsecond else "auto")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(cell.total_seconds(), 60)
        return f"{minutes // 60:.0f}:{minutes % 60:02.0f}:{seconds:02.0f}"
    return str(cell)


def _check_names(sheet: str, number: int, names: list[str], merged: list[Merged]) -> None:
    for (top, left), (bottom, right) in merged:
        if top < number <= bottom + 1:
            text = f"Row {number:,} of the sheet “{sheet}” has merged cells, {_range(((top, left), (bottom, right)))}. {NAMES}"
            raise TableError(text, line=number, hint="Delete titles above the names, and unmerge cells.")
    there = [name for name in names if name.strip()]
    if len(names) > 1 and len(there) == 1:
        text = f"Row {number:,} of the sheet “{sheet}” holds “{there[0][:60]}” alone, which looks like a title. {NAMES}"
        raise TableError(text, line=number, hint="Delete what stands above the names.")
    if len(there) < len(names) / 2:
        missing = len(names) - len(there)
        text = f"{missing:,} of {len(names):,} columns have no name in row {number:,} of the sheet “{sheet}”. {NAMES}"
        raise TableError(text, line=number, hint="Delete what stands above the names or beside the table.")


def _notices(number: int, merged: list[Merged]) -> Iterator[str]:
    if number > 1:
        yield f"The names of the columns were read from row {number:,} of the sheet, its first with anything in it."
    if merged:
        more = f" and {len(merged) - 1:,} more" if len(merged) > 1 else ""
        yield f"Of merged cells ({_range(merged[0])}{more}) the first has the value; the others are empty."


def _range(merged: Merged) -> str:
    """As spreadsheets write it, such as B3:D3."""
    return ":".join(f"{_letters(column)}{row + 1}" for row, column in merged)


def _letters(column: int) -> str:
    found, column = "", column + 1
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(ord("A") + rest) + found
    return found


def main(arguments: list[str]) -> int:
    order, answer = json.loads(Path(arguments[0]).read_text(encoding="utf-8")), dict[str, Any]()
    try:
        look(order, answer)
    except TableError as error:
        answer["error"] = {"text": error.text, "line": error.line, "hint": error.hint}
    except OSError as error:
        answer["error"] = {
            "text": f"The sheet is too large: {error.strerror}.",
            "line": None,
            "hint": "Save it as CSV.",
        }
    Path(arguments[1]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
