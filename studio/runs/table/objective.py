"""The number by which most runs of a table are told apart: what *Best* sorts by, and what groups show at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from studio.runs.models import RunQuerySet
from studio.runs.table.cells import Values
from studio.runs.table.fields import Field

if TYPE_CHECKING:
    from studio.runs.table.select import Table

LOOKED_AT = 100


def most_common(bests: Iterable[Field | None]) -> Field | None:
    """Of what each run is told by; None when no run has a number."""
    count = Counter(best for best in bests if best is not None)
    return count.most_common(1)[0][0] if count else None


def newest(table: Table) -> RunQuerySet:
    """The newest runs that fit, as narrow as `objective_of` needs them."""
    return table.matching().only("pk", "state", "metrics_at").order_by("-number")[:LOOKED_AT]


def objective_of(table: Table) -> Field | None:
    """What most of the newest runs that fit are told by. About five queries."""
    runs = list(newest(table))
    values = Values(table, runs)
    return most_common(values.best(run) for run in runs)
