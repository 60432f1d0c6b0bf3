"""Tables in Excel workbooks: a sheet becomes a CSV, which is what a version trains on; the workbook is kept beside it.

A version's `info["workbook"]` is `{"sheets", "sheet", "size_bytes"}`, its blob `workbook` the file as it was sent, so that another
sheet can be read. What lay on the server or in a store by reference is kept like what was sent: no run can read it there.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from studio.registry.child import run_child
from studio.registry.errors import RegistryError
from studio.registry.models import WORKBOOK, DatasetVersion, VersionState
from studio.registry.tables.reading import TableError
from studio.registry.versions import queue_inspection, settle

TIMEOUT_S = 900.0
MAX_CSV_BYTES = 8 << 30
MAX_ANSWER_BYTES = 4 << 20


def is_workbook(path: Path) -> bool:
    """Whether it is an .xlsx or .xlsm, by its content."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.NameToInfo
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def sheet_as_csv(
    path: Path, sheet: str, folder: Path, tick: Callable[[], None]
) -> tuple[Path, dict[str, Any], TableError | None]:
    """The CSV in the folder, `{"sheets", "sheet", "notices"}` as far as they are known, and why it is no table."""
    into, out = folder / "sheet.csv", folder / "answer.json"
    (folder / "order.json").write_text(json.dumps({"path": str(path), "sheet": sheet, "into": str(into)}))
    ended = run_child(
        "studio.registry.look.workbook",
        str(folder / "order.json"),
        str(out),
        folder=folder,
        timeout_s=TIMEOUT_S,
        tick=tick,
        file_bytes=MAX_CSV_BYTES,
    )
    if not out.is_file() or out.stat().st_size > MAX_ANSWER_BYTES:
        if ended.timed_out:
            raise TableError(f"Reading the workbook did not end within {TIMEOUT_S / 60:.0f} minutes. Save it as CSV.")
        hint = (
            "A cell far away from the table makes a sheet very large: copy the table to a new one, or save it as CSV."
        )
        raise TableError("Reading the workbook took too much memory, or it is damaged.", hint=hint)
    answer = json.loads(out.read_text(encoding="utf-8"))
    error = answer.pop("error", None)
    return into, answer, error and TableError(error["text"], line=error["line"], hint=error["hint"])


def other_sheets(version: DatasetVersion) -> list[str]:
    """Those that may be read in place of the one that was; none once the version is made."""
    if version.state not in (VersionState.CHOOSING, VersionState.REJECTED) or WORKBOOK not in version.blobs:
        return []
    about = version.info.get(WORKBOOK, {})
    return [name for name in about.get("sheets", ()) if name != about.get("sheet")]


def read_sheet(version: DatasetVersion, sheet: str) -> None:
    """Look into another sheet of the workbook. RegistryError when there is none of that name, or it is too late."""
    if sheet not in other_sheets(version):
        raise RegistryError(f"There is no other sheet “{sheet[:60]}” to read in this version.", field="sheet")
    info = {k: v for k, v in version.info.items() if k not in ("choices", "line", "hint", "progress")}
    info["wanted"] = {"sheet": sheet}
    fresh: dict[str, Any] = {"reason": "", "inspections": 0, "info": info, "schema": {}, "preview": {}}
    with transaction.atomic():
        if settle(version, VersionState.INSPECTING, was=VersionState(version.state), **fresh):
            queue_inspection(version)
