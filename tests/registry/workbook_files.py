"""Excel workbooks for tests, written part by part as spreadsheets write them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
    'ContentType="application/xml"/></Types>'
)
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
# Formats by their place: as it is, a date, date and time, hours that go on, per cent.
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="170" formatCode="[h]:mm:ss"/></numFmts>'
    '<fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="5"><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="22"/><xf numFmtId="170"/><xf numFmtId="9"/></cellXfs></styleSheet>'
)
EPOCH = datetime(1899, 12, 30)


@dataclass(frozen=True)
class Formula:
    text: str
    value: Any


@dataclass(frozen=True)
class Raw:
    """The text of a cell that is a number, as it stands in the file; `style` is one of STYLES."""

    text: str
    style: int = 0


@dataclass(frozen=True)
class Error:
    text: str = "#N/A"


def workbook(
    sheets: Mapping[str, Sequence[Sequence[Any]]],
    *,
    merged: Mapping[str, Sequence[str]] | None = None,
    hidden: Sequence[str] = (),
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    """Each sheet as its rows, of which None is an empty cell; `more` are further parts of the file."""
    out = io.BytesIO()
    names = list(sheets)
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{i}" state="{"hidden" if name in hidden else "visible"}" r:id="r{i}"/>'
        for i, name in enumerate(names, 1)
    )
    links = "".join(
        f'<Relationship Id="r{i}" Type="{LINKS}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(names) + 1)
    )
    links += f'<Relationship Id="s" Type="{LINKS}/styles" Target="styles.xml"/>'
    parts = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": f'<Relationships xmlns="{RELS}"><Relationship Id="r" Type="{LINKS}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELS}">{links}</Relationships>',
        "xl/styles.xml": STYLES,
    }
    for i, name in enumerate(names, 1):
        rows = "".join(_row(number, row) for number, row in enumerate(sheets[name], 1))
        cells = "".join(f'<mergeCell ref="{ref}"/>' for ref in (merged or {}).get(name, ()))
        end = f"<mergeCells>{cells}</mergeCells>" if cells else ""
        parts[f"xl/worksheets/sheet{i}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData>{end}</worksheet>'
        )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        for name, data in (more or {}).items():
            archive.writestr(name, data)
    return out.getvalue()


def _row(number: int, cells: Sequence[Any]) -> str:
    inside = "".join(_cell(f"{_letter(i)}{number}", cell) for i, cell in enumerate(cells) if cell is not None)
    return f'<row r="{number}">{inside}</row>'


def _letter(column: int) -> str:
    return (chr(64 + column // 26) if column >= 26 else "") + chr(65 + column % 26)


def _cell(ref: str, cell: Any, formula: str = "") -> str:
    if isinstance(cell, Formula):
        return _cell(ref, cell.value, f"<f>{escape(cell.text)}</f>")
    if isinstance(cell, Error):
        return f'<c r="{ref}" t="e">{formula}<v>{cell.text}</v></c>'
    if isinstance(cell, bool):
        return f'<c r="{ref}" t="b">{formula}<v>{int(cell)}</v></c>'
    if isinstance(cell, str):
        if formula:
            return f'<c r="{ref}" t="str">{formula}<v>{escape(cell)}</v></c>'
        return f'<c r="{ref}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
    text, style = str(cell), 0
    if isinstance(cell, Raw):
        text, style = cell.text, cell.style
    elif isinstance(cell, datetime):
        text, style = repr((cell - EPOCH) / timedelta(days=1)), 2
    elif isinstance(cell, date):
        text, style = str((datetime(cell.year, cell.month, cell.day) - EPOCH).days), 1
    elif isinstance(cell, timedelta):
        text, style = repr(cell / timedelta(days=1)), 3
    return f'<c r="{ref}" s="{style}">{formula}<v>{text}</v></c>'
