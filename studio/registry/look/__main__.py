"""`python -m studio.registry.look ORDER.json OUT.json`: looks into an uploaded file of any kind, without Django.

ORDER is `{"path", "kind": "table"|"images"|"text"|"arrays", "filename", "wanted", "progress"}`; OUT is what
`Found.to_dict` gives, or `{"error": {"text", "line", "hint"}}`. Run in a child, since the file is somebody else's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.registry.look.found import Found
from studio.registry.tables.reading import TableError


def look(order: dict[str, Any], progress: Callable[[float], None]) -> Found:
    """TableError for what cannot be a dataset."""
    path = Path(order["path"])
    if path.stat().st_size == 0:
        raise TableError("The file is empty: it has 0 bytes.", hint="Check that it was saved before it was uploaded.")
    if order["kind"] == "images":
        from studio.registry.look.images import look_at_images

        return look_at_images(path, progress)
    if order["kind"] == "arrays":
        from studio.registry.look.arrays import look_at_arrays

        return look_at_arrays(path)
    if order["kind"] == "text":
        from studio.registry.look.lines import look_at_text

        return look_at_text(path, order.get("wanted") or {})
    from studio.registry.look.records import look_at_records

    return look_at_records(path, progress)


def main(arguments: list[str]) -> int:
    order = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    told = Path(order["progress"])
    try:
        answer = look(order, lambda share: _tell(told, share)).to_dict()
    except TableError as error:
        answer = {"error": {"text": error.text, "line": error.line, "hint": error.hint}}
    except MemoryError:
        answer = {"error": {"text": "Reading it takes more memory than is allowed.", "line": None, "hint": ""}}
    Path(arguments[1]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _tell(path: Path, share: float) -> None:
    part = path.with_suffix(".part")
    part.write_text(f"{share:.3f}", encoding="ascii")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
