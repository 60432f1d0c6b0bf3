"""What looking into a file gives: the data class that reads it, arguments suggested for it, statistics and a preview."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """`args` are suggestions for the data class `ref`, `choices` the values that some of them may take.

    `labels` maps what may be the target to `{"counts": [[class, n], …], "numeric", "rows"}` (counts of few classes only);
    a table has none: its columns say the same.
    """

    ref: str
    schema: dict[str, Any]
    preview: dict[str, Any]
    args: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def label_facts(values: list[str]) -> dict[str, Any]:
    """How often each value occurs, if they are few, and whether all are numbers."""
    counts: dict[str, int] = {}
    numeric = True
    for value in values:
        if len(counts) <= MAX_CLASSES:
            counts[value] = counts.get(value, 0) + 1
        numeric = numeric and _is_number(value)
    few = len(counts) <= MAX_CLASSES
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {"counts": [list(item) for item in common] if few else [], "numeric": numeric, "rows": len(values)}


MAX_CLASSES = 1000


def _is_number(text: str) -> bool:
    try:
        return float(text) - float(text) == 0
    except ValueError:
        return False
