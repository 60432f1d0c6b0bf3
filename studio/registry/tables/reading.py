"""Reading a CSV in bounded memory: how it is encoded and separated, and its rows, or why it cannot be read, in words."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from studio.registry.tables.cells import NumberStyle, style_of

HEAD_BYTES = 256 << 10
MAX_LINE_CHARS = 4 << 20
PART_CHARS = 256 << 10
MAX_CELL_CHARS = 128 << 10
MAX_COLUMNS = 1000
MAX_NAME_CHARS = 200
MOST_NOTICES = 5  # about names; the rest are counted
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
STYLE_NOTICES: dict[NumberStyle, tuple[str, ...]] = {
    "plain": (),
    "point": ("Numbers are read with decimal points and without what stands beside them: $1,234.50 as 1234.50.",),
    "comma": ("Numbers are read with decimal commas, and points as what parts groups of digits: 1.234,50 as 1234.50.",),
}

NOT_UTF_16 = "The file begins as text in UTF-16, but goes on otherwise."

# What a file of another kind begins with, and what to do with it.
KINDS = {
    b"PK\x03\x04": "a zip archive that is no Excel workbook (.xlsx); unpack it, and save the sheet as .xlsx or CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, or one with a password; save it as .xlsx without one, or the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"PAR1": "a Parquet file; save it as CSV",
    b"%PDF": "a PDF; a CSV is plain text",
    b"\x89PNG": "a PNG image; a CSV is plain text",
    b"\xff\xd8\xff": "a JPEG image; a CSV is plain text",
    b"\x7fELF": "a program; a CSV is plain text",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as Excel's "Unicode text" begins
_PLAIN_CONTROL = b"\t\n\r\f\x1b"
_CONTROL = bytes(b for b in range(32) if b not in _PLAIN_CONTROL)


class TableError(Exception):
    """Why a file cannot become a dataset: the text says what is wrong, where, and what to do."""

    def __init__(self, text: str, *, line: int | None = None, hint: str = "") -> None:
        self.text, self.line, self.hint = text, line, hint
        super().__init__(f"{text} {hint}" if hint else text)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written; `notices` tell what was assumed."""

    encoding: str
    delimiter: str
    notices: tuple[str, ...] = ()
    number_style: NumberStyle = "plain"


def sniff(path: str | Path, delimiter: str = "") -> Dialect:
    """Encoding, separator (unless it is given) and how numbers are written, from the first 256 KB; TableError for what is
    no text."""
    head = read_head(path)
    encoding, notices = encoding_of(head)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError as error:
        raise TableError(NOT_UTF_16, hint="Save it as UTF-8.") from error
    if len(head) == HEAD_BYTES and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    delimiter = delimiter or _delimiter_of(text)
    style = style_of(_first_rows(text, delimiter)[1:], delimiter)
    return Dialect(encoding, delimiter, (*notices, *STYLE_NOTICES[style]), style)


def read_head(path: str | Path) -> bytes:
    """The first 256 KB; TableError for a file of 0 bytes or one that is no text."""
    size = os.path.getsize(path)
    if size == 0:
        raise TableError("The file is empty: it has 0 bytes.", hint="Check that it was saved before it was uploaded.")
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    for start, words in KINDS.items():
        if head.startswith(start):
            raise TableError(f"This is {words}.")
    if head.startswith(UTF_16):
        return head
    if (at := head.find(b"\0")) >= 0:
        raise _nul_error(head.count(b"\n", 0, at) + 1)
    if len(head.translate(None, _CONTROL)) < 0.99 * len(head):
        raise TableError("This is not a text file: it is full of control characters.", hint="Save the data as CSV.")
    return head


def encoding_of(head: bytes) -> tuple[str, tuple[str, ...]]:
    """(encoding, notices): UTF-8 with or without a mark, UTF-16 with one, else Latin-1, which reads anything."""
    if head.startswith(UTF_16):
        return "utf-16", ()
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig", ()
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        return "latin-1", (latin_1_notice(head.count(b"\n", 0, error.start) + 1),)
    return "utf-8", ()


def latin_1_notice(line: int) -> str:
    return f"The file is not UTF-8 (line {line:,}), so it was read as Latin-1. If letters look wrong, save it as UTF-8."


def open_text(path: str | Path, dialect: Dialect) -> TextIO:
    return open(path, encoding=dialect.encoding, newline="")


def read_rows(file: TextIO, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(number of the line it begins on, cells) of each row that is not blank; the header is the first.

    TableError for a NUL, an endless line or cell; UnicodeDecodeError where the encoding does not hold.
    """
    reader = csv.reader(_lines(file), delimiter=dialect.delimiter)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        if "field larger" not in str(error):
            raise TableError(f"The row at line {line:,} cannot be read: {error}.", line=line) from error
        text = f"The row at line {line:,} has a cell of more than {MAX_CELL_CHARS:,} characters."
        raise TableError(text, line=line, hint='Most often a quote (") is opened there and never closed.') from error


def read_batches(file: TextIO, dialect: Dialect, size: int) -> Iterator[list[list[str]]]:
    """The same rows, about `size` at a time and three times as fast; csv.Error where `read_rows` says what is wrong."""
    reader = csv.reader(_lines(file), delimiter=dialect.delimiter)
    while rows := list(itertools.islice(reader, size)):
        yield [row for row in rows if row]


def header_names(written: list[str]) -> tuple[list[str], list[str]]:
    """(a name of its own for each column, what was done for that in words), as the engine's `read_table` names them.

    TableError for too many columns, and where most have no name.
    """
    if len(written) > MAX_COLUMNS:
        raise TableError(f"The file has {len(written):,} columns; at most {MAX_COLUMNS:,} are read.")
    stripped = [name.strip() for name in written]
    if stripped.count("") > len(stripped) / 2:
        text = f"{stripped.count(''):,} of {len(stripped):,} columns have no name in line 1."
        hint = "If lines stand above the names, such as a title, or separators at the end of each line, delete them."
        raise TableError(text, line=1, hint=hint)
    taken, names, notices = set(stripped), list[str](), list[str]()
    for number, name in enumerate(stripped, 1):
        wanted = name or f"column {number}"
        given, count = wanted, 1
        while given in names or (given != name and given in taken):
            count += 1
            given = f"{wanted} ({count})"
        names.append(given)
        if not name:
            notices.append(f"Column {number} has no name in line 1; it is called {_short(given)}.")
        elif given != name:
            notices.append(f"Column {number} is called {_short(name)} as one before it; here it is {_short(given)}.")
    if len(notices) > MOST_NOTICES:
        notices[MOST_NOTICES:] = [f"So it is with {len(notices) - MOST_NOTICES} more columns."]
    return names, notices


def check_header(names: list[str]) -> None:
    """TableError for names that are missing, twice there, too long or alone."""
    if len(names) < 2:
        hint = "A table needs a target and at least one other column, separated by commas, semicolons, tabs or bars."
        raise TableError(f"Line 1 has one column only: {_short(names[0])}.", line=1, hint=hint)
    seen: dict[str, int] = {}
    for number, name in enumerate((n.strip() for n in names), 1):
        if not name:
            raise TableError(f"Column {number} has no name.", line=1, hint="Each column needs a name of its own.")
        if name in seen:
            text = f"Two columns are called {_short(name)}: number {seen[name]} and number {number}."
            raise TableError(text, line=1, hint="Each column needs a name of its own.")
        if len(name) > MAX_NAME_CHARS:
            raise TableError(f"The name of column {number} is longer than {MAX_NAME_CHARS} characters.", line=1)
        if not name.isprintable():
            raise TableError(f"The name of column {number} has characters that cannot be shown.", line=1)
        seen[name] = number


def _lines(file: TextIO) -> Iterator[str]:
    return itertools.chain.from_iterable(io.StringIO(part, newline="") for part in _parts(file))


def _parts(file: TextIO) -> Iterator[str]:
    """The text in parts that end with a line; TableError for a NUL or a line without end."""
    number, rest = 0, ""
    while True:
        read = file.read(PART_CHARS)
        part, rest = _to_last_line(rest + read) if read else (rest, "")
        if (at := part.find("\0")) >= 0:
            raise _nul_error(number + _ends(part[:at]) + 1)
        if len(part) > MAX_LINE_CHARS and len(io.StringIO(part, newline="").readline()) > MAX_LINE_CHARS:
            raise _endless(number + 1)
        number += _ends(part)
        if "\0" in rest:
            raise _nul_error(number + 1)
        if len(rest) >= MAX_LINE_CHARS:
            raise _endless(number + 1)
        if part:
            yield part
        if not read:
            return


def _endless(line: int) -> TableError:
    text = f"Line {line:,} is longer than {MAX_LINE_CHARS:,} characters."
    return TableError(text, line=line, hint="Each row of a CSV is a line of its own.")


def _to_last_line(text: str) -> tuple[str, str]:
    """(whole lines, what follows). A carriage return at the very end may be half of an end, so it follows."""
    end = max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1
    return text[:end], text[end:]


def _ends(text: str) -> int:
    """How many lines end in it, by any of the three ends."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _delimiter_of(text: str) -> str:
    """The separator whose rows agree best with the first row; a comma if none parts the first row."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = list(map(len, _first_rows(text, delimiter, 100)))
        if not widths or widths[0] < 2:
            continue
        score = (round(widths.count(widths[0]) / len(widths), 2), widths[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _first_rows(text: str, delimiter: str, most: int = 1000) -> list[list[str]]:
    """Those that are not blank, up to one that cannot be read."""
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == most:
                break
    except csv.Error:
        pass
    return rows


def _nul_error(line: int) -> TableError:
    return TableError(
        f"Line {line:,} holds a NUL byte, so this is not plain text.", line=line, hint="Save the data as CSV in UTF-8."
    )


def _short(text: str, limit: int = 60) -> str:
    text = "".join(c if c in string.printable[:95] or c.isprintable() else "·" for c in text.strip())
    return f"“{text[:limit]}…”" if len(text) > limit else f"“{text}”"
