"""What one column of a table holds, gathered batch by batch in bounded memory: type, missing cells, statistics."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

import numpy as np

from studio.registry.tables.cells import MISSING

ColumnType = Literal["number", "category", "date", "text", "id", "constant", "empty"]

_LONGEST_MISSING = max(map(len, MISSING))
_MISSING_AS_WRITTEN = frozenset(
    "".join(letters) for word in MISSING for letters in itertools.product(*({c, c.upper()} for c in word))
)
KEY_CHARS = 200
TOP_VALUES = 20
BINS = 20
MAX_CLASSES = 100
FEW_VALUES = 20  # so many different numbers, with words among them, are categories
MOST_CATEGORIES = 64  # of a column that the engine tells apart
_SKETCH = 1024
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|index|key|nr|no)$|^(id|uuid|guid|unnamed: 0)|Id$|ID$")


class Column:
    """`add` the cells of one column in order, then `describe` it; memory stays below about 2 MB a column."""

    def __init__(self, name: str, *, sample: int = 10_000, keys: int = 10_000) -> None:
        self.name = name
        self.rows = self.missing = self.numbers = self.not_finite = self.whole = 0
        self.minimum, self.maximum, self._mean, self._spread = math.inf, -math.inf, 0.0, 0.0
        self.counts: Counter[str] = Counter()
        self.counts_are_whole = True
        self.texts: dict[str, int] = {}  # up to five cells that are not numbers, and the row of each
        self.text_chars = 0
        self._sample_size, self._max_keys = sample, keys
        self._sample = np.empty(0)
        self._random = np.random.default_rng(0)
        self._hashes = np.empty(0, dtype=np.uint64)
        self._steps_by_one, self._last = True, math.nan
        self._codes: dict[str, int] | None = {}  # of each value, in the order in which they come; None for too many
        self._likeness = hashlib.blake2b(digest_size=12)

    def add(self, cells: Sequence[str], first_row: int) -> None:
        """`first_row` is the number of the first cell's row, counted from 1."""
        self.rows += len(cells)
        if not self.counts_are_whole and (values := self._plain_numbers(cells)) is not None:
            self._sketch(cells)
            self._add_numbers(values)
            return
        raw = Counter(cells)
        are_many = len(raw) > len(cells) // 2
        self._follow(raw, cells)
        keys = self._present(raw)
        self._count(keys)
        values = self._numbers_in_order(cells) if are_many else None
        if values is None:
            values = self._numbers_of(keys, cells, first_row)
        if len(values):
            self._add_numbers(values)

    def describe(self) -> dict[str, Any]:
        """JSON-ready: name, type, missing, distinct, top values, and for numbers their statistics and histogram."""
        kind = self.type
        found: dict[str, Any] = {
            "name": self.name,
            "type": kind,
            "missing": self.missing,
            "not_finite": self.not_finite,
            "distinct": self.distinct,
            "distinct_is_exact": self.counts_are_whole,
            "notices": self._notices(),
        }
        if self.counts_are_whole and (kind != "number" or self.distinct <= MAX_CLASSES):
            found["top"] = self.counts.most_common(TOP_VALUES)
        if self.counts_are_whole and self.distinct <= MAX_CLASSES and kind not in ("empty", "id"):
            singles = [value for value, n in self.counts.items() if n == 1]
            found["classes"] = {
                "counts": self.counts.most_common(),
                "singles": len(singles),
                "single": singles[0] if singles else "",
            }
        if self._says_something(kind):
            found["likeness"] = self._likeness.hexdigest()
        if self.counts_as_number:
            found |= self._statistics()
            found["words"] = self.words
        elif kind in ("date", "id", "category"):
            found["sorts"] = all(_is_moment(key) for key in self._some_keys())
        return found

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def is_numeric(self) -> bool:
        """Every cell that is there is a number."""
        return self.numbers > 0 and self.numbers + self.not_finite == self.present

    @property
    def words(self) -> int:
        """How many cells hold something that is no number."""
        return self.present - self.numbers - self.not_finite

    @property
    def counts_as_number(self) -> bool:
        """All cells that are there are numbers, or so many that the rest are words for something that is missing."""
        return self.is_numeric or (self.numbers > 0 and self.words <= 0.1 * self.present and self.distinct > FEW_VALUES)

    @property
    def is_whole(self) -> bool:
        return self.counts_as_number and self.whole == self.numbers

    @property
    def distinct(self) -> int:
        """Exact while `counts_are_whole`, else estimated to about 3 %."""
        if self.counts_are_whole:
            return len(self.counts)
        share = float(self._hashes[-1]) / 2**64
        return min(int((_SKETCH - 1) / share), self.present)

    @property
    def type(self) -> ColumnType:
        if not self.present:
            return "empty"
        if self.distinct == 1:
            return "constant"
        unique = self.distinct >= 0.98 * self.present and self.present >= 20
        named_id = _ID_NAME.search(self.name) is not None
        if self.counts_as_number:
            whole_ids = unique and self.is_whole and (self._steps_by_one or named_id)
            return "id" if whole_ids else "number"
        if self._is_date():
            return "date"
        words = self.text_chars / self.present > 40 or self.distinct > max(50, 0.5 * self.present)
        if unique and (named_id or (self.text_chars / self.present <= 40 and not self._has_spaces())):
            return "id"
        return "text" if words else "category"

    def _follow(self, raw: Counter[str], cells: Sequence[str]) -> None:
        """Hash which rows hold the same value; columns that say the same in other words get the same hash."""
        if self._codes is None:
            return
        place = {}
        for cell in raw:
            key = cell.strip()[:KEY_CHARS]
            key = "" if len(key) <= _LONGEST_MISSING and key.lower() in MISSING else key
            place[cell] = self._codes.setdefault(key, len(self._codes))
            if len(self._codes) > MAX_CLASSES + 1:
                self._codes = None
                return
        codes = np.fromiter(map(place.__getitem__, cells), dtype=np.int16, count=len(cells))
        self._likeness.update(codes.tobytes())

    def _says_something(self, kind: ColumnType) -> bool:
        """Whether another column with the same likeness can hardly have it by chance."""
        return self._codes is not None and kind not in ("constant", "empty") and self.rows >= max(20, 3 * self.distinct)

    def _present(self, raw: Counter[str]) -> Counter[str]:
        """The values without spaces around them, and without those that mean none, which are counted."""
        text = "".join(raw)
        if text.split(maxsplit=1) == [text] and max(map(len, raw)) <= KEY_CHARS:  # the quick way: no space anywhere
            for key in raw.keys() & _MISSING_AS_WRITTEN:
                self.missing += raw.pop(key)
            return raw
        keys = Counter[str]()
        for cell, count in raw.items():
            key = cell.strip()[:KEY_CHARS]
            if len(key) <= _LONGEST_MISSING and key.lower() in MISSING:
                self.missing += count
            else:
                keys[key] += count
        return keys

    def _count(self, keys: Counter[str]) -> None:
        if self.counts_are_whole:
            self.counts.update(keys)
            self.counts_are_whole = len(self.counts) <= self._max_keys
            if not self.counts_are_whole:
                keys, self.counts = self.counts, Counter()
        if not self.counts_are_whole:
            self._sketch(keys)

    def _sketch(self, keys: Collection[str]) -> None:
        """Keep the smallest hashes of all that was seen, from which the number of different values is estimated."""
        hashes = np.fromiter(map(hash, keys), dtype=np.int64, count=len(keys)).view(np.uint64)
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15)  # spreads what hash() of short text leaves close together
        if len(self._hashes) == _SKETCH:
            hashes = hashes[hashes < self._hashes[-1]]
        if len(hashes):
            merged = np.sort(np.concatenate([self._hashes, hashes]))  # half the time of np.unique
            self._hashes = merged[np.append(True, merged[1:] != merged[:-1])][:_SKETCH]

    def _plain_numbers(self, cells: Sequence[str]) -> np.ndarray[Any, Any] | None:
        """The cells as numbers if each is one as it stands: none is missing, and none has spaces around it."""
        values = self._numbers_in_order(cells)
        text = "".join(cells)
        return values if values is not None and len(values) == len(cells) and text.split(maxsplit=1) == [text] else None

    def _numbers_in_order(self, cells: Sequence[str]) -> np.ndarray[Any, Any] | None:
        """The cells as numbers, if all of them are: the quick way for measurements and identifiers."""
        try:
            values = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
        except ValueError:
            return None
        return values[~np.isnan(values)]

    def _numbers_of(self, keys: Counter[str], cells: Sequence[str], first_row: int) -> np.ndarray[Any, Any]:
        """The numbers among the different cells, each as often as it occurs; remembers what is none."""
        values, times = [], []
        for key, count in keys.items():
            try:
                value = float(key)
            except ValueError:
                self.text_chars += len(key) * count
                if len(self.texts) < 5 and key[:60] not in self.texts:
                    at = next(i for i, cell in enumerate(cells) if cell.strip()[:KEY_CHARS] == key)
                    self.texts[key[:60]] = first_row + at
                continue
            if value == value:
                values.append(value)
                times.append(count)
        return np.repeat(np.array(values), np.array(times, dtype=np.int64))

    def _add_numbers(self, values: np.ndarray[Any, Any]) -> None:
        finite = values[np.isfinite(values)]
        self.not_finite += len(values) - len(finite)
        if not len(finite):
            return
        whole = np.floor(finite) == finite
        self.whole += int(whole.sum())
        self._steps_by_one = bool(
            self._steps_by_one
            and whole.all()
            and (np.diff(finite) == 1).all()
            and (math.isnan(self._last) or finite[0] - self._last == 1)
        )
        self._last = float(finite[-1])
        self.minimum = min(self.minimum, float(finite.min()))
        self.maximum = max(self.maximum, float(finite.max()))
        # Mean and variance of the union of two sets: Chan, Golub and LeVeque (1979).
        with np.errstate(over="ignore", invalid="ignore"):
            n, mean = len(finite), float(finite.mean())
            spread, delta = float(((finite - mean) ** 2).sum()), mean - self._mean
            total = self.numbers + n
            self._spread += spread + delta * delta * self.numbers * n / total
            self._mean += delta * n / total
        self._add_sample(finite)
        self.numbers = total

    def _add_sample(self, finite: np.ndarray[Any, Any]) -> None:
        """Reservoir sampling (Vitter's algorithm R) a batch at a time."""
        room = self._sample_size - len(self._sample)
        if room > 0:
            self._sample = np.concatenate([self._sample, finite[:room]])
        rest = finite[max(room, 0) :]
        if len(rest):
            seen = self.numbers + max(room, 0) + np.arange(1, len(rest) + 1)
            slots = (self._random.random(len(rest)) * seen).astype(np.int64)
            kept = slots < self._sample_size
            self._sample[slots[kept]] = rest[kept]

    def _statistics(self) -> dict[str, Any]:
        deviation = math.sqrt(self._spread / self.numbers) if math.isfinite(self._spread) else None
        low, high = self.minimum, self.maximum
        found: dict[str, Any] = {
            "whole": self.is_whole,
            "min": low,
            "max": high,
            "mean": self._mean if math.isfinite(self._mean) else None,
            "std": deviation,
            "quartiles": [float(q) for q in np.quantile(self._sample, (0.25, 0.5, 0.75))],
        }
        if low < high and math.isfinite(high - low):
            bins = int(high - low) + 1 if self.is_whole and high - low < BINS else BINS
            edges = (low - 0.5, high + 0.5) if self.is_whole and high - low < BINS else (low, high)
            counts, _ = np.histogram(self._sample, bins=bins, range=edges)
            found["histogram"] = {"low": edges[0], "high": edges[1], "counts": counts.tolist()}
            found["sampled"] = self.numbers > len(self._sample)
        return found

    def _is_date(self) -> bool:
        return not self.numbers and bool(self.texts) and all(_DATE.fullmatch(t) for t in self._some_keys())

    def _has_spaces(self) -> bool:
        return any(" " in k for k in self._some_keys())

    def _some_keys(self) -> list[str]:
        return [*self.texts, *(key for key, _ in zip(self.counts, range(200), strict=False))]

    def _notices(self) -> list[str]:
        notices = []
        if self.numbers and self.words and self.words <= 0.1 * self.present:
            text, row = next(iter(self.texts.items()))
            verb = "cell is not a number" if self.words == 1 else "cells are not numbers"
            means = "the rest are"
            if self.counts_as_number:
                means = "it counts as missing" if self.words == 1 else "they count as missing"
            notices.append(f"{self.words:,} {verb}, such as “{text}” in row {row:,}; {means}.")
        elif self.texts and all(_DECIMAL_COMMA.fullmatch(t) for t in self._some_keys()):
            notices.append("These look like numbers with decimal commas; save them with decimal points.")
        if self.type == "date" and self.counts_are_whole:
            notices += _order_notice(self.counts)
        if self.not_finite:
            notices.append(f"{self.not_finite:,} cells are infinite or too large for a number; they count as missing.")
        if self.type == "category" and self.distinct > MOST_CATEGORIES:
            notices.append(f"Of {self.distinct:,} values the {MOST_CATEGORIES} most common are told apart.")
        return notices


def _is_moment(text: str) -> bool:
    """Whether the engine can put it in order as a date."""
    try:
        datetime.fromisoformat(text.replace("/", "-"))
        return True
    except ValueError:
        pass
    if not _DATE.fullmatch(text):
        return False
    first, second, third = (int(digits) for digits in re.findall(r"\d+", text)[:3])
    if first > 999:
        return 1 <= second <= 12 and 1 <= third <= 31
    return 1 <= min(first, second) <= 12 and max(first, second) <= 31


def _order_notice(keys: Collection[str]) -> list[str]:
    """How dates are read that could be of two months; nothing where the cells show it."""
    starts = [re.findall(r"\d+", key)[:2] for key in keys if not key[:4].isdigit()]
    if not starts or any(int(digits) > 12 for pair in starts for digits in pair):
        return []
    example = next(iter(keys))
    order = "day first" if "." in example.split()[0] else "month first, as no other cell shows the order"
    return [f"Dates such as “{example}” are read with the {order}."]
