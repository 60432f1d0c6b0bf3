"""Runs that differ by their seed only, taken together; and whether two such sets differ by more than chance."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.runs.diff import leaves
from studio.runs.models import Run
from studio.runs.table.groups import Spread, spread

# Two-sided 95 % of Student's t by degrees of freedom; between them the next smaller one is used, which is the safe side.
T95 = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 12: 2.179,
    15: 2.131, 20: 2.086, 30: 2.042, 60: 2.0, 120: 1.98, 10**9: 1.96,
}  # fmt: skip
SEEDS = ("seed", "random_seed", "rng_seed", "global_seed", "random_state")
PLACES = {"data": ("files", "marks"), "start": ("file", "name")}  # where things lie, not what they are


@dataclass(slots=True)
class Variant:
    """The same choices with one seed or several; `spreads` by the name of a metric, where each seed counts once."""

    runs: list[Run]
    spreads: dict[str, Spread] = field(default_factory=dict)
    without: str = ""  # the query of a comparison without it
    best: Run | None = None  # the one with the best number

    @property
    def seeds(self) -> int:
        return len({_seed(run.spec) for run in self.runs})

    @property
    def title(self) -> str:
        first, seeds = f"#{self.runs[0].number}", self.seeds
        return first if seeds == 1 else f"{first} and {seeds - 1} more seed{'s' if seeds > 2 else ''}"

    @property
    def states(self) -> list[tuple[str, int]]:
        """How many of them are in each state."""
        return Counter(run.state for run in self.runs).most_common()

    @property
    def note(self) -> str:
        """What is taken together, where it is more than one run."""
        if len(self.runs) == 1:
            return ""
        if self.seeds == 1:
            return f"one seed {len(self.runs)} times"
        return f"{self.seeds} seeds, mean ± std"

    def spread_of(self, numbers: Mapping[int, float | None]) -> Spread:
        """Of numbers by run: those of one seed that ran several times are one number, their mean."""
        by_seed: dict[Any, list[float]] = {}
        for run in self.runs:
            if (value := numbers.get(run.pk)) is not None:
                by_seed.setdefault(_seed(run.spec), []).append(value)
        return spread([math.fsum(some) / len(some) for some in by_seed.values()])


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is more, noise or unknown; `more` are those to start more seeds of, when that would help."""

    kind: str
    words: str
    more: tuple[Run, ...] = ()


def variants_of(runs: Sequence[Run], values: dict[str, dict[int, float | None]]) -> list[Variant]:
    """In the order of their first runs; `values` are numbers by metric and run."""
    found: dict[str, Variant] = {}
    for run in runs:
        found.setdefault(_but_for_the_seed(run), Variant([])).runs.append(run)
    for variant in found.values():
        for metric, numbers in values.items():
            variant.spreads[metric] = variant.spread_of(numbers)
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
    if by == 0:
        lead = f"{best.title} and {second.title} share the {'highest' if rises else 'lowest'} {metric}"
    else:
        lead = f"{best.title} has the {'highest' if rises else 'lowest'} {metric}, {_number(by)} from {second.title}"
    if alone := [variant for variant in (best, second) if variant.spreads[metric].n < 2]:
        who = f"{alone[0].title} ran" if len(alone) == 1 else "each ran"
        why = f"{who} with one seed, and one number says nothing of chance"
        words = f"{lead}. Whether {'they differ at all' if by == 0 else 'that is more than chance'} is unknown: {why}."
        return Verdict("unknown", words, tuple(variant.runs[0] for variant in alone))
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
    words = f"{lead}. That is within what the seeds explain ({interval}): do not count on it."
    return Verdict("noise", words, (best.runs[0], second.runs[0]))


def _t95(freedom: float) -> float:
    return T95[max(df for df in T95 if df <= max(freedom, 1))]


def _seed(spec: Mapping[str, Any]) -> Any:
    """The seed of a run; of one that a program logged from outside, what its config calls so, else None."""
    if "config" not in spec:
        return spec.get("seed", 0)
    return next((str(value) for name, value in leaves(spec["config"]) if _is_seed(name)), None)


def _is_seed(name: str) -> bool:
    return name.rpartition(".")[2].lower() in SEEDS


def _but_for_the_seed(run: Run) -> str:
    """A text that is the same for runs that differ by their seed only. A run from outside that tells of no seed is alone:
    nobody knows what it was made of."""
    spec = run.spec
    if "config" in spec:
        config = {name: value for name, value in leaves(spec["config"]) if not _is_seed(name)}
        return json.dumps([config, None if _seed(spec) is not None else run.pk], sort_keys=True)
    kept: dict[str, Any] = {key: value for key, value in spec.items() if key != "seed"}
    for part, names in PLACES.items():
        if isinstance(kept.get(part), dict):
            kept[part] = {key: value for key, value in kept[part].items() if key not in names}
    return json.dumps(kept, sort_keys=True)


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
