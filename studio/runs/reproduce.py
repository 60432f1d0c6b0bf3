"""Whether a run that was started again with everything pinned ended alike, bit for bit, or which layer differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.runs import checkpoints
from studio.runs.compare.layers import TITLES, Row, rows_of
from studio.runs.models import Run, State

Verdict = Literal["waiting", "equal", "differs", "unknown"]
VALUES = ("last", "min", "argmin", "max", "argmax", "count")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`metrics` are the names whose values differ, `rows` the facts that do, by layer."""

    of: Run
    verdict: Verdict
    words: str
    metrics: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    @property
    def layers(self) -> list[str]:
        return list(dict.fromkeys(TITLES[row.layer] for row in self.rows))


def reproduction_of(run: Run) -> Reproduction | None:
    """What came of it; None for a run that repeats none. At most five queries, none for a run without a parent."""
    if run.parent_id is None or run.is_external:
        return None
    first = Run.objects.for_list().filter(pk=run.parent_id).first()
    if first is None or first.spec_hash != run.spec_hash or first.is_external:
        return None
    if not run.is_settled:
        return Reproduction(
            first, "waiting", f"When it has finished, it is compared with #{first.number}, bit for bit."
        )
    if run.state != State.SUCCEEDED or first.state != State.SUCCEEDED:
        return Reproduction(
            first, "unknown", f"Only runs that finished can be compared: #{first.number} is {first.state}."
        )
    mine, other = (_weights(one) for one in (run, first))
    if not mine or not other:
        missing = run if not mine else first
        words = f"The last checkpoint of #{missing.number} is gone, or tells no digest of its weights."
        return Reproduction(first, "unknown", words)
    names = sorted({*run.summary, *first.summary})
    metrics = tuple(name for name in names if _numbers(run, name) != _numbers(first, name))
    if mine == other and not metrics:
        words = f"The weights ({len(names)} metrics too) are those of #{first.number}, bit for bit."
        return Reproduction(first, "equal", words)
    rows = tuple(row for row in rows_of([first, run]) if row.differs)
    what = "The weights differ" if mine != other else "The weights are equal, some metrics differ"
    why = "" if rows else " Nothing that was recorded differs: an operation may not be deterministic on this hardware."
    return Reproduction(first, "differs", f"{what} from #{first.number}.{why}", metrics, rows)


def _weights(run: Run) -> tuple[int, str] | None:
    last = checkpoints.newest(run)
    digest = checkpoints.weights_sha256_of(last) if last is not None else ""
    return (last.step, digest) if last is not None and digest else None


def _numbers(run: Run, name: str) -> list[str]:
    return [repr(run.summary.get(name, {}).get(key)) for key in VALUES]
