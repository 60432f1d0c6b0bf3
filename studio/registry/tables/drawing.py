"""Columns prepared for a page: statistics in words, histograms and class shares as the geometry of small SVGs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 120, 28
SHOWN_CLASSES = 12
DRAWN_COLUMNS = 200  # further ones have their statistics in words only
TYPE_WORDS = {
    "number": "number",
    "category": "category",
    "date": "date or time",
    "text": "free text",
    "id": "identifier",
    "constant": "constant",
    "empty": "empty",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle, and what it says to who points at it."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    name: str
    type: str
    use: str
    missing: int
    missing_percent: str
    distinct: str
    summary: str
    bars: list[Bar]
    notices: list[str]


@dataclass(frozen=True, slots=True)
class ClassShare:
    """`percent` of all rows; `length` from 0 to 100, the largest class being 100."""

    name: str
    rows: int
    percent: str
    length: float


def drawn_columns(schema: dict[str, Any], choices: dict[str, Any] | None = None) -> list[DrawnColumn]:
    """All columns of a table's schema, or the arrays of a file of arrays; none for what has neither."""
    columns = schema.get("columns") or schema.get("arrays") or []
    return [_drawn(column, schema["rows"], choices, bars=n < DRAWN_COLUMNS) for n, column in enumerate(columns)]


def class_bars(schema: dict[str, Any], choices: dict[str, Any] | None) -> list[ClassShare]:
    """The classes of the target, the largest first; none for a regression."""
    if not choices or choices["task"] != "classification":
        return []
    if "labels" in choices:
        return _shares([(name, n) for name, n in choices["labels"]])
    target: dict[str, Any] = next((c for c in schema.get("columns", []) if c["name"] == choices["target"]), {})
    return _shares(target.get("classes", {}).get("counts", []))


def _shares(counts: list[tuple[str, int]]) -> list[ClassShare]:
    total, largest = sum(n for _, n in counts), max((n for _, n in counts), default=1)
    shares = [ClassShare(name, n, f"{100 * n / total:.1f}", 100 * n / largest) for name, n in counts[:SHOWN_CLASSES]]
    if len(counts) > SHOWN_CLASSES:
        rest = total - sum(s.rows for s in shares)
        words = f"{len(counts) - SHOWN_CLASSES} more classes"
        shares.append(ClassShare(words, rest, f"{100 * rest / total:.1f}", min(100 * rest / largest, 100.0)))
    return shares


def _drawn(column: dict[str, Any], rows: int, choices: dict[str, Any] | None, *, bars: bool) -> DrawnColumn:
    use = ""
    if choices:
        uses = choices.get("uses", {})
        use = "target" if column["name"] == choices["target"] else uses.get(column["name"], "ignore" if uses else "")
    return DrawnColumn(
        name=column["name"],
        type=TYPE_WORDS[column["type"]],
        use="left out" if use == "ignore" else use,
        missing=column["missing"],
        missing_percent=f"{100 * column['missing'] / rows:.1f}" if rows else "0",
        distinct=f"{column['distinct']:,}" if column["distinct_is_exact"] else f"about {column['distinct']:,}",
        summary=_summary(column),
        bars=_bars(column) if bars else [],
        notices=column["notices"],
    )


def _summary(column: dict[str, Any]) -> str:
    if "mean" in column:
        words = f"{_number(column['min'])} to {_number(column['max'])}"
        if column["mean"] is not None:
            words += f", mean {_number(column['mean'])}"
        if column["std"] is not None:
            words += f" ± {_number(column['std'])}"
        return words
    return ", ".join(f"{value or 'blank'} ({n:,})" for value, n in column.get("top", [])[:4])


def _bars(column: dict[str, Any]) -> list[Bar]:
    if histogram := column.get("histogram"):
        low, high, counts = histogram["low"], histogram["high"], histogram["counts"]
        step = (high - low) / len(counts)
        titles = [f"{_number(low + i * step)} to {_number(low + (i + 1) * step)}" for i in range(len(counts))]
    elif column["type"] == "category":
        counts = [n for _, n in column.get("top", [])]
        titles = [value for value, _ in column.get("top", [])]
    else:
        return []
    most, width = max(counts, default=0), WIDTH / max(len(counts), 1)
    return [
        Bar(round(i * width, 2), round(HEIGHT - h, 2), round(max(width - 1, 0.5), 2), round(h, 2), f"{title}: {n:,}")
        for i, (n, title) in enumerate(zip(counts, titles, strict=True))
        if (h := HEIGHT * n / most if most else 0) or n == 0
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
