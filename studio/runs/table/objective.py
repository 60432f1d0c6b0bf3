"""The number by which most runs of a table are told apart: what *Best* sorts by, and what groups show at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from studio.runs.table.fields import Field

LOOKED_AT = 100


def most_common(bests: Iterable[Field | None]) -> Field | None:
    """Of what each run is told by; None when no run has a number."""
    count = Counter(best for best in bests if best is not None)
    return count.most_common(1)[0][0] if count else None
