"""What changed between two runs: where their curves part, and for each layer whether that fits what changed in it.

The rules are simple and stated beside each layer. They point at where to look first; they prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.runs.compare.layers import TITLES, Layer, Row, rows_of
from studio.runs.models import Run, State
from studio.tracking.divergence import Divergence, divergence
from studio.tracking.query import series

EARLY = 0.05  # of the steps that both did
WIDTH, HEIGHT = 600, 160
SCHEDULE = ("scheduler", "warmup", "max_steps", "max_epochs", "patience", "milestones", "gamma", "accumulate", "clip")


@dataclass(frozen=True, slots=True)
class Change:
    """A layer in which something changed; `likely` is None when the curves say nothing of it."""

    layer: Layer
    rows: list[Row]
    likely: bool | None
    why: str

    @property
    def title(self) -> str:
        return TITLES[self.layer]

    @property
    def word(self) -> str:
        return "unknown" if self.likely is None else "likely" if self.likely else "unlikely"


@dataclass(frozen=True, slots=True)
class Picture:
    """Paths of both curves in a box of WIDTH × HEIGHT, where they part in it, and the values at its top and bottom."""

    a: str
    b: str
    at: float | None
    high: float
    low: float


def earlier_of(run: Run) -> Run | None:
    """What a run is compared with when nobody says: its parent, or the last that succeeded before it on its model."""
    return parent_of(run) or last_good_of(run)


def parent_of(run: Run) -> Run | None:
    """What it was made from, when that is in the same project. One query."""
    if run.parent_id is None:
        return None
    return Run.objects.filter(project=run.project_id, pk=run.parent_id).for_list().first()


def last_good_of(run: Run) -> Run | None:
    """The last that succeeded before it on its model. One query."""
    before = Run.objects.listed().filter(project=run.project_id, number__lt=run.number, state=State.SUCCEEDED)
    if run.model_version is not None:
        before = before.filter(model_version__model=run.model_version.model_id)
    return before.for_list().order_by("-number").first()


def curves_part(a: Run, b: Run, metric: str) -> Divergence | None:
    """Of one metric along steps; None without enough points of both."""
    found = {one["run"]: one["series"] for one in series([a.pk, b.pk], [metric], width=400)["runs"]}
    if not all(found.get(run.pk) for run in (a, b)):
        return None
    points = []
    for run in (a, b):
        line = found[run.pk][0]
        kept = [(x, y) for x, y in zip(line["x"], line["last"], strict=True) if isinstance(y, int | float)]
        points.append(([x for x, _ in kept], [y for _, y in kept]))
    return divergence(points[0], points[1])


def changes(a: Run, b: Run, parted: Divergence | None) -> list[Change]:
    """Layers in which the two differ, what is likely first."""
    rows = [row for row in rows_of([a, b]) if row.differs]
    found = []
    for layer in TITLES:
        if some := [row for row in rows if row.layer == layer]:
            likely, why = judge(layer, some, parted)
            found.append(Change(layer, some, likely, why))
    return sorted(found, key=lambda change: {True: 0, None: 1, False: 2}[change.likely])


def judge(layer: Layer, rows: Sequence[Row], parted: Divergence | None) -> tuple[bool | None, str]:
    """Whether a change of this layer goes with where the curves part, and the rule that says so."""
    if parted is None:
        return None, "There are not enough common points to see where the curves part."
    if parted.step is None:
        return False, "The curves stay together, so no change shows in them."
    early = parted.share <= EARLY
    names = " ".join(row.name for row in rows)
    if layer == "data":
        return (True, "Other data show from the first steps on.") if early else (
            False, "Other data would show from the first steps on; the curves part later.")  # fmt: skip
    if layer == "code":
        return True, "Other code can show at any step."
    if layer == "config":
        late = any(word in names for word in SCHEDULE)
        if early:
            return True, "Choices of the model and the optimiser show from the first steps on."
        return (True, "A schedule or a limit changed, which shows where it takes effect.") if late else (
            False, "None of these choices takes effect late, and the curves part late.")  # fmt: skip
    if layer == "hardware":
        if "precision" in names or "devices" in names:
            return True, "Another precision or number of devices changes sums a little, which can grow at any step."
        return False, "Another machine changes the last digits of sums only."
    if layer == "packages":
        return False, "Versions of packages seldom change results; look here when nothing else is left."
    return (True, "Another seed shows from the first steps on, and is within the noise of training.") if early else (
        False, "Another seed would show from the first steps on.")  # fmt: skip


def picture(parted: Divergence) -> Picture:
    values = [v for v in (*parted.a.tolist(), *parted.b.tolist()) if math.isfinite(v)]
    low, span = min(values), (max(values) - min(values)) or 1.0
    first, length = float(parted.x[0]), float(parted.x[-1] - parted.x[0]) or 1.0

    def across(x: float) -> float:
        return (x - first) / length * WIDTH

    def path(y: Any) -> str:
        points = zip(parted.x.tolist(), y.tolist(), strict=True)
        return "M" + "L".join(f"{across(x):.1f} {HEIGHT - 5 - (v - low) / span * (HEIGHT - 10):.1f}" for x, v in points)

    at = None if parted.step is None else across(parted.step)
    return Picture(path(parted.a), path(parted.b), at, max(values), low)
