"""Tables: rows of cells, or a data frame; bounded, since they are shown and not stored for computing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from trainer_core.media.arrays import is_tensor
from trainer_core.media.record import Item, Media, checked_key, json_item

MOST_ROWS, MOST_COLUMNS, MOST_CELL = 10_000, 200, 1000
EXACT = 2**53
Rows = list[list[Any]]


def table(key: str, columns: Sequence[Any] | None = None, data: Any = None, dataframe: Any = None) -> Media:
    """`data` is a sequence of rows, each as long as `columns`; or a data frame of pandas or polars.

    Cells are numbers, text, booleans and None; anything else becomes its text. Of more than MOST_ROWS rows the first are
    kept, and a note says so.
    """
    if dataframe is not None:
        columns, data, total = [str(c) for c in dataframe.columns], *_rows_of(dataframe)
    else:
        data = [] if data is None else data
        if not hasattr(data, "__len__"):
            raise TypeError(f"{key}: data is a list of rows; got {type(data).__name__}.")
        total = len(data)
        data = list(itertools.islice(data, MOST_ROWS))
    width = len(columns) if columns is not None else len(data[0]) if data else 0
    names = [str(c)[:MOST_CELL] for c in columns] if columns is not None else [str(i) for i in range(width)]
    if width > MOST_COLUMNS:
        raise ValueError(f"{key}: a table of {width} columns; at most {MOST_COLUMNS} are shown.")
    rows = []
    for i, row in enumerate(data):
        cells = list(row) if not isinstance(row, str | bytes) else [row]
        if len(cells) != width:
            raise ValueError(f"{key}: row {i} has {len(cells)} cells, but there are {width} columns.")
        rows.append([_cell(c) for c in cells])
    notes = (f"a table of {total} rows; the first {MOST_ROWS} are kept.",) if total > MOST_ROWS else ()
    return Media("table", checked_key(key), [partial(_item, names, rows, total)], 64 * width * len(rows), notes)


def _rows_of(frame: Any) -> tuple[Rows, int]:
    head = frame.head(MOST_ROWS)
    rows = head.rows() if hasattr(head, "rows") else head.itertuples(index=False, name=None)
    return [list(row) for row in rows], len(frame)


def _item(columns: list[str], rows: Rows, total: int) -> Item:
    return json_item({"columns": columns, "rows": rows, "total": total}, {"rows": total, "columns": len(columns)})


def _cell(value: Any) -> Any:
    if is_tensor(value) and value.numel() == 1:
        value = value.item()
    elif hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # numpy
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    words = str(value)
    return words if len(words) <= MOST_CELL else f"{words[:MOST_CELL]}…"
