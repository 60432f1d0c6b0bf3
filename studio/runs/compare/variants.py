"""Runs that differ by their seed only, taken together; and whether two such sets differ by more than chance."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.runs.models import Run
from studio.runs.table.groups import Spread, spread

# Two-sided 95 % of Student's t by degrees of freedom; between them the next smaller one is used, which is the safe side.
T95 = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 12: 2.179,
    15: 2.131, 20: 2.086, 30: 2.042, 60: 2.0, 120: 1.98, 10**9: 1.96,
}  # fmt: skip


@dataclass(slots=True)
class Variant:
    """The same choices with one seed or several; `spreads` by the name of a metric."""

    runs: list[Run]
    spreads: dict[str, Spread] = field(default_factory=dict)
    without: str = ""  # the query of a comparison without it

    @property
    def title(self) -> str:
        numbers = [f"#{run.number}" for run in self.runs]
        return (
            numbers[0]
            if len(numbers) == 1
            else f"{numbers[0]} and {len(numbers) - 1} more seed{'s' if len(numbers) > 2 else ''}"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is more, noise or unknown; `run` is the one to start more seeds of, when that would help."""

    kind: str
    words: str
    run: Run | None = None


def variants_of(runs: Sequence[Run], values: dict[str, dict[int, float | None]]) -> list[Variant]:
    """In the order of their first runs; `values` are numbers by metric and run."""
    found: dict[str, Variant] = {}
    for run in runs:
        found.setdefault(_but_for_the_seed(run.spec), Variant([])).runs.append(run)
    for variant in found.values():
        for metric, numbers in values.items():
            variant.spreads[metric] = spread([numbers.get(run.pk) for run in variant.runs])
    return list(found.values())


def verdict(variants: Sequence[Variant], metric: str, *, rises: bool) -> Verdict | None:
    """Whether the best of them is better than the next by more than its seeds explain: Welch's t-test at 95 %.

    B. L. Welch, The generalization of "Student's" problem, Biometrika 34 (1947). None when fewer than two have a number.
    """
    known = [variant for variant in variants if variant.spreads[metric].mean is not None]
    if len(known) < 2:
        return None
    best, second, *_ = sorted(known, key=lambda v: v.spreads[metric].mean or 0.0, reverse=rises)
    a, b = best.spreads[metric], second.spreads[metric]
    assert a.mean is not None
    assert b.mean is not None
    by = abs(a.mean - b.mean)
    lead = f"{best.title} has the {'highest' if rises else 'lowest'} {metric}, {_number(by)} from {second.title}"
    if a.n < 2 or b.n < 2:
        alone = best if a.n < 2 else second
        why = f"{alone.title} ran with one seed, and one number says nothing of chance"
        return Verdict("unknown", f"{lead}. Whether that is more than chance is unknown: {why}.", alone.runs[0])
    variance_a, variance_b = (a.std or 0.0) ** 2 / a.n, (b.std or 0.0) ** 2 / b.n
    error = math.sqrt(variance_a + variance_b)
    if error == 0:
        kind = "more" if by else "noise"
        return Verdict(
            kind, f"{lead}. All seeds of each gave the same number{', so the difference is real' if by else ''}."
        )
    freedom = error**4 / (variance_a**2 / (a.n - 1) + variance_b**2 / (b.n - 1))
    reach = _t95(freedom) * error
    interval = f"95 % interval {_number(by - reach)} to {_number(by + reach)}, n = {a.n} and {b.n}"
    if by > reach:
        return Verdict("more", f"{lead}. That is more than the seeds explain ({interval}).")
    return Verdict(
        "noise", f"{lead}. That is within what the seeds explain ({interval}): do not count on it.", best.runs[0]
    )


def _t95(freedom: float) -> float:
    return T95[max(df for df in T95 if df <= max(freedom, 1))]


def _but_for_the_seed(spec: dict[str, Any]) -> str:
    kept: dict[str, Any] = {key: value for key, value in spec.items() if key != "seed"}
    if isinstance(kept.get("data"), dict):
        kept["data"] = {key: value for key, value in kept["data"].items() if key != "files"}
    return json.dumps(kept, sort_keys=True)


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
