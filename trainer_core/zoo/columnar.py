"""Tables in files with types: Parquet, and JSON objects one a line."""

from __future__ import annotations

import json
from pathlib import Path

from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.tables import CSVTable


class ParquetTable(CSVTable):
    """A Parquet file: one row an example, one column the target."""

    def _columns(self) -> dict[str, list[str]]:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = pq.read_table(self.path, memory_map=True)
        found = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            if not pa.types.is_nested(column.type) and not pa.types.is_binary(column.type):
                found[name.strip()] = pc.fill_null(column.cast(pa.string()), "").to_pylist()
        return found


class JSONLTable(CSVTable):
    """A file with one JSON object a line: one line an example, one key the target."""

    def _columns(self) -> dict[str, list[str]]:
        rows = []
        with Path(self.path).open(encoding=self.encoding) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise MisconfigurationException(f"Line {number} is no JSON object.")
                    rows.append(row)
        names = list(dict.fromkeys(key for row in rows for key in row))
        return {name.strip(): [json_cell(row.get(name)) for row in rows] for name in names}


def json_cell(value: object) -> str:
    """A value as the cell of a table; lists and objects, which no table has, as nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, str | int) else ""
