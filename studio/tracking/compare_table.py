"""The results of compared runs as rows: what each has, which is best, and how far the others are from the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.templatetags.studio import duration
from studio.core.templatetags.studio import metric as number_text
from studio.runs.compare.variants import Variant
from studio.runs.directions import Direction, direction
from studio.runs.table.groups import Spread
from studio.tracking.comparing import COST

WORDS: dict[Direction, str] = {"up": "highest", "down": "lowest", "": "last"}
STEPS: dict[Direction, str] = {"up": "argmax", "down": "argmin", "": "last_step"}


@dataclass(frozen=True, slots=True)
class Cell:
    """`step` is where a single run had its value; `delta` how far it is from the first column's, in words."""

    text: str
    step: Any = None
    delta: str = ""
    is_best: bool = False
    odd: int = 0  # how many values were NaN or infinite


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    note: str  # which of its values is shown
    cells: list[Cell]


def metric_row(variants: Sequence[Variant], name: str, way: Direction) -> Row:
    """`way` says which value is best; empty where none is."""
    spreads = [variant.spreads[name] for variant in variants]
    known = [spread.mean for spread in spreads if spread.mean is not None]
    best = (max(known) if way == "up" else min(known)) if known and way and len(known) > 1 else None
    cells = []
    for variant, spread in zip(variants, spreads, strict=True):
        one = variant.runs[0].summary.get(name, {}) if len(variant.runs) == 1 else {}
        text = spread.text if spread.mean is not None else _without(variant, name)
        delta = _delta(spread, spreads[0], way) if variant is not variants[0] else ""
        odd = sum(run.summary.get(name, {}).get("nonfinite") or 0 for run in variant.runs)
        is_best = best is not None and spread.mean == best
        cells.append(Cell(text, one.get(STEPS[way]), delta, is_best, odd if spread.mean is not None else 0))
    return Row(name, WORDS[way], cells)


def metric_rows(variants: Sequence[Variant], names: Sequence[str], metric: str, *, rises: bool) -> list[Row]:
    """`metric` is the one that decides, and `rises` says whether more of it is better."""
    ways: dict[str, Direction] = {name: direction(name) for name in names}
    if metric in ways:
        ways[metric] = "up" if rises else "down"
    return [metric_row(variants, name, way) for name, way in ways.items()]


def cost_rows(variants: Sequence[Variant], costs: Mapping[int, Mapping[str, float]]) -> list[Row]:
    """What they took; a row for each kind that some run tells of."""
    found = []
    for name, title in COST.items():
        if any(name in costs[run.pk] for variant in variants for run in variant.runs):
            cells = [Cell(_cost(name, variant, costs)) for variant in variants]
            words = title.removesuffix(", s")  # a time says its unit itself
            found.append(Row(words[:1].upper() + words[1:], "", cells))
    return found


def _cost(name: str, variant: Variant, costs: Mapping[int, Mapping[str, float]]) -> str:
    say: Callable[[float], str] = duration if name == "time" else number_text
    values = [costs[run.pk][name] for run in variant.runs if name in costs[run.pk]]
    if not values:
        return "–"
    return say(values[0]) if len(values) == 1 else f"{say(sum(values) / len(values))} each"


def _without(variant: Variant, name: str) -> str:
    has = any(run.summary.get(name, {}).get("nonfinite") for run in variant.runs)
    return "never finite" if has else "–"


def _delta(spread: Spread, base: Spread, way: Direction) -> str:
    if spread.mean is None or base.mean is None:
        return ""
    change = spread.mean - base.mean
    if change == 0:
        return "= same"
    better = "" if not way else " better" if (change > 0) == (way == "up") else " worse"
    return f"{'▲ +' if change > 0 else '▼ −'}{number_text(abs(change))}{better}"
