"""From the columns of a table to numbers: learned from the training rows only, kept with the checkpoint."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from trainer_core.errors import MisconfigurationException
from trainer_core.zoo.moments import calendar, date_of, days, is_day_first, moment
from trainer_core.zoo.numerals import NumberStyle, plain_numbers

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "#n/a"})
MAX_CATEGORIES = 64
Floats = NDArray[np.float32]


def is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def read_table(
    path: str | Path, *, delimiter: str = ",", encoding: str = "utf-8-sig", style: NumberStyle = "plain"
) -> dict[str, list[str]]:
    """Columns by name, as text, numbers plain. MisconfigurationException for an empty file, no rows, or ragged rows."""
    path = Path(path)
    with _open(path, encoding) as file:
        rows = csv.reader(file, delimiter=delimiter)
        try:
            header = names_of(next(rows))
        except StopIteration:
            raise MisconfigurationException(f"{path.name} is empty.") from None
        columns: list[list[str]] = [[] for _ in header]
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise MisconfigurationException(
                    f"{path.name}, line {rows.line_num}: {len(row)} values where the header has {len(header)} columns."
                )
            for column, value in zip(columns, row, strict=True):
                column.append(value)
    if not columns or not columns[0]:
        raise MisconfigurationException(f"{path.name} has a header but no rows.")
    if style != "plain":
        columns = [plain_numbers(column, style) for column in columns]
    return dict(zip(header, columns, strict=True))


def names_of(written: Sequence[str]) -> list[str]:
    """A name of its own for each column: its number where it has none, and with (2) behind it where it is taken."""
    stripped = [name.strip() for name in written]
    taken, names = set(stripped), dict[str, None]()
    for number, name in enumerate(stripped, 1):
        wanted = name or f"column {number}"
        given, count = wanted, 1
        while given in names or (given != name and given in taken):
            count += 1
            given = f"{wanted} ({count})"
        names[given] = None
    return list(names)


def words_to_gaps(cells: Sequence[str]) -> list[str]:
    """A column of numbers with nothing in the place of what is none."""
    return [cell if is_number(cell) else "" for cell in cells]


def is_number(text: str) -> bool:
    try:
        to_number(text)
    except ValueError:
        return False
    return True


def _open(path: Path, encoding: str) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return open(path, encoding=encoding, newline="")


def to_number(text: str) -> float:
    """NaN when it is missing; ValueError for words."""
    if is_missing(text):
        return math.nan
    value = float(text.replace(" ", "").replace("\u202f", ""))
    return value if math.isfinite(value) else math.nan


def guess_kind(values: Sequence[str]) -> str:
    """`numeric`, `categorical`, or `ignore` for a column of one value or of almost only different words."""
    known = [v.strip() for v in values if not is_missing(v)]
    different = set(known)
    if len(different) < 2:
        return "ignore"
    try:
        for value in different:
            float(value)
    except ValueError:
        return "categorical" if len(different) <= max(20, len(known) // 10) else "ignore"
    return "numeric"


@dataclass
class Preprocess:
    """Standardised numbers (missing → 0 with a column that says so) and one-hot categories (rare and new ones → other).

    A date is its day as such a number, its place in the year and the week, and in the day where there are times.
    `state()` is plain values, so that it can lie in a checkpoint.
    """

    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    means: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    categories: dict[str, list[str]] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)
    day_first: list[str] = field(default_factory=list)  # those of the dates that are written so
    clocks: list[str] = field(default_factory=list)  # those of the dates that have times
    target: str = ""
    classes: list[str] | None = None
    target_mean: float = 0.0
    target_scale: float = 1.0

    def fit(self, columns: dict[str, list[str]], rows: NDArray[np.int64]) -> None:
        self.day_first = [name for name in self.dates if is_day_first(columns[name])]
        for name in (*self.numeric, *self.dates):
            values = self._values(name, columns, rows)
            known = values[~np.isnan(values)]
            if name in self.dates and (known % 1).any():
                self.clocks.append(name)
            self.means[name] = float(known.mean()) if known.size else 0.0
            self.scales[name] = float(known.std()) or 1.0 if known.size else 1.0
            if known.size < values.size:
                self.gaps.append(name)
        for name in self.categorical:
            seen: dict[str, int] = {}
            column = columns[name]
            for row in rows:
                value = column[row].strip()
                if not is_missing(value):
                    seen[value] = seen.get(value, 0) + 1
            self.categories[name] = sorted(sorted(seen, key=lambda v: -seen[v])[:MAX_CATEGORIES])

    def fit_target(self, values: list[str], rows: NDArray[np.int64], task: str) -> None:
        if task == "classification":
            self.classes = sorted({v.strip() for v in values if not is_missing(v)})
            return
        numbers = _numbers(self.target, values, rows)
        self.target_mean, self.target_scale = float(numbers.mean()), float(numbers.std()) or 1.0

    @property
    def width(self) -> int:
        numbers = len(self.numeric) + len(self.dates) + len(self.gaps)
        return numbers + 9 * len(self.dates) + 2 * len(self.clocks) + sum(len(c) + 1 for c in self.categories.values())

    def apply(self, columns: dict[str, list[str]], rows: NDArray[np.int64]) -> Floats:
        """(rows, width) float32."""
        parts: list[NDArray[Any]] = []
        for name in (*self.numeric, *self.dates):
            values = self._values(name, columns, rows)
            gap = np.isnan(values)
            parts.append(np.where(gap, 0.0, (values - self.means[name]) / self.scales[name])[:, None])
            if name in self.gaps:
                parts.append(gap.astype(np.float32)[:, None])
            if name in self.dates:
                parts.append(calendar(values, clock=name in self.clocks))
        for name, known in self.categories.items():
            place = {value: i for i, value in enumerate(known)}
            codes = [place.get(columns[name][r].strip(), len(known)) for r in rows]
            parts.append(np.eye(len(known) + 1, dtype=np.float32)[codes])
        return np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)

    def in_words(self, x: Sequence[float]) -> list[list[str]]:
        """[column, text] of one row that `apply` made; numbers to five digits, an empty text for a missing value.

        What is left of a float32 behind the sixth digit of the column's spread is rounding: a 0 stays 0.
        """
        found: list[list[str]] = []
        at = 0
        for name in (*self.numeric, *self.dates):
            value, digits = x[at] * self.scales[name] + self.means[name], 6 - math.floor(math.log10(self.scales[name]))
            text = self.date_in_words(name, value) if name in self.dates else f"{round(value, digits):.5g}"
            at += 1
            if name in self.gaps:
                text = "" if x[at] else text
                at += 1
            if name in self.dates:
                at += 11 if name in self.clocks else 9
            found.append([name, text])
        for name, known in self.categories.items():
            place = max(range(len(known) + 1), key=lambda i: x[at + i])
            found.append([name, known[place] if place < len(known) else "other"])
            at += len(known) + 1
        return found

    def date_in_words(self, name: str, days_since: float) -> str:
        """A day since 1970, with its time where the column has times."""
        found = date_of(days_since)
        return f"{found:%Y-%m-%d %H:%M}" if name in self.clocks else f"{found + timedelta(hours=12):%Y-%m-%d}"

    def _values(self, name: str, columns: dict[str, list[str]], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Numbers, or dates in days; NaN where there is none."""
        if name not in self.dates:
            return _numbers(name, columns[name], rows)
        first, column = name in self.day_first, columns[name]
        return days([moment(column[row], day_first=first) for row in rows])

    def apply_target(self, values: list[str], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Class numbers (int64), or the standardised target (float32)."""
        if self.classes is not None:
            place = {value: i for i, value in enumerate(self.classes)}
            return np.array([place[values[r].strip()] for r in rows], dtype=np.int64)
        return ((_numbers(self.target, values, rows) - self.target_mean) / self.target_scale).astype(np.float32)

    def state(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Preprocess:
        return cls(**state)


def _numbers(name: str, column: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    try:
        return np.array([to_number(column[r]) for r in rows], dtype=np.float64)
    except ValueError as error:
        raise MisconfigurationException(
            f"Column {name!r} is used as a number, but {error}. Use it as a category, or ignore it."
        ) from error


def split_rows(
    rows: NDArray[np.int64],
    labels: Sequence[str] | None,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Shuffled train, validation and test rows; with `labels`, each class is split in the same shares."""
    random = np.random.default_rng(seed)
    groups: list[NDArray[np.int64]] = [rows]
    if labels is not None:
        words = np.array([labels[r] for r in rows])
        groups = [rows[words == word] for word in np.unique(words)]
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for group in groups:
        mixed = random.permutation(group)
        val, test = round(len(mixed) * val_fraction), round(len(mixed) * test_fraction)
        parts[1].append(mixed[:val])
        parts[2].append(mixed[val : val + test])
        parts[0].append(mixed[val + test :])
    train, val_rows, test_rows = (random.permutation(np.concatenate(p)).astype(np.int64) for p in parts)
    return train, val_rows, test_rows
