"""What the charts of one or several runs ask for, checked, and the answer: see `tracking.query.series`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

from django.db.models import Max, TextField
from django.db.models.functions import Cast
from django.http import QueryDict
from pydantic_core import from_json, to_json

from studio.runs.models import Attempt, Run
from studio.tracking import stored
from studio.tracking.marks import placed
from studio.tracking.query import AXES, MAX_WIDTH, Axis, abandoned, series

MOST_RUNS, MOST_METRICS, MOST_LINES = 50, 200, 1000
FEW_METRICS, FEW_POINTS = 64, 20_000


@dataclass(frozen=True)
class Wanted:
    """`few`: the names of all metrics, and their series only of a run that has few; the answer's `few` says whether."""

    metrics: list[str] | None
    x: Axis
    lo: float | None
    hi: float | None
    width: int
    few: bool
    tails: bool


def parse_wanted(query: QueryDict) -> Wanted:
    """ValueError with words for the person who asked."""
    x = query.get("x", "step")
    if x not in AXES:
        raise ValueError(f"x: got {x!r}, allowed is one of {', '.join(AXES)}.")
    names = query.getlist("metrics")
    if len(names) > MOST_METRICS:
        raise ValueError(f"metrics: got {len(names)} of them, allowed are {MOST_METRICS} at once. Ask in portions.")
    lo, hi = (_number(name, query.get(name)) for name in ("from", "to"))
    width = _number("width", query.get("width")) or 1500
    return Wanted(
        names or None, cast(Axis, x), lo, hi, int(width), bool(query.get("few")), bool(query.get("abandoned"))
    )


def parse_runs(query: QueryDict, wanted: Wanted) -> list[int]:
    """The runs of `run=1&run=2`; ValueError with words for the person who asked."""
    texts = query.getlist("run")
    if not texts or not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
        raise ValueError("run: allowed are numbers of runs, as in run=1&run=2.")
    runs = list(dict.fromkeys(map(int, texts)))
    if len(runs) > MOST_RUNS:
        raise ValueError(f"run: got {len(runs)} runs, allowed are {MOST_RUNS} at once.")
    if wanted.metrics is None and not wanted.few:
        raise ValueError("metrics: name at least one, or ask with few=1 for the names that there are.")
    if len(runs) * len(wanted.metrics or ()) > MOST_LINES:
        raise ValueError(f"{len(runs)} runs of {len(wanted.metrics or ())} metrics: allowed are {MOST_LINES} lines.")
    return runs


def etag_of(run_ids: Sequence[int], query: str, marks: Sequence[Mapping[str, Any]] = ()) -> str:
    """Another one for every change of what `answer` gives: the cursors, an attempt that begins, the query. Two queries."""
    cursors = sorted(Run.objects.filter(pk__in=run_ids).order_by().values_list("pk", "last_seq"))
    # An attempt that begins to train changes what is shown, before its first point.
    began = Attempt.objects.filter(run_id__in=run_ids, ready_at__isnull=False).order_by()
    ready = sorted(began.values_list("run_id").annotate(Max("fence")))
    return f'W/"{blake2b(repr((cursors, ready, query, marks)).encode(), digest_size=12).hexdigest()}"'


def answer_one(run_pk: int, wanted: Wanted, marks: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """JSON of one run, with `marks` along the axis and on demand `abandoned` and `names`."""
    found = {**_of_run(run_pk, wanted), "marks": placed(run_pk, marks, wanted.x)}
    if wanted.tails and found.get("few", True):
        width = max(16, min(wanted.width, MAX_WIDTH))
        found["abandoned"] = abandoned(run_pk, wanted.metrics, wanted.x, width)
    return to_json(found)


def answer_many(run_ids: Sequence[int], wanted: Wanted) -> bytes:
    """JSON `{"runs": [...]}`, in the order of the ids."""
    if wanted.metrics is None:
        return to_json({"runs": [_of_run(pk, wanted, len(run_ids)) for pk in run_ids]})
    return to_json(series(run_ids, wanted.metrics, wanted.x, wanted.lo, wanted.hi, wanted.width))


def _of_run(run_pk: int, wanted: Wanted, among: int = 1) -> dict[str, Any]:
    """What a run has few of is less when it is one `among` several."""
    names = None
    if wanted.few and wanted.metrics is None:
        cursor, summary = _summary(run_pk)
        names = list(summary)
        points = sum(min(int(one.get("count", 0)), wanted.width) for one in summary.values())
        if len(names) > FEW_METRICS or points * among > FEW_POINTS:
            # Cursor and names are of one moment: what is logged later is in the frames that follow the cursor.
            bare = {"run": run_pk, "cursor": cursor, "fence": stored.fence_of(run_pk, cursor), "start": None}
            return {**bare, "series": [], "names": names, "few": False}
    runs = series([run_pk], wanted.metrics, wanted.x, wanted.lo, wanted.hi, wanted.width)["runs"]
    found: dict[str, Any] = runs[0] if runs else {"run": run_pk, "cursor": 0, "fence": 0, "start": None, "series": []}
    return found if names is None else {**found, "names": names, "few": True}


def _summary(run_pk: int) -> tuple[int, dict[str, Any]]:
    row = Run.objects.filter(pk=run_pk).annotate(text=Cast("summary", TextField())).values_list("last_seq", "text")
    cursor, text = row.first() or (0, "{}")
    return cursor, from_json(text)


def _number(name: str, text: str | None) -> float | None:
    if text in (None, ""):
        return None
    try:
        value = float(text)  # type: ignore[arg-type]
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name}: got {text!r}, allowed is a number on the x axis.")
    return value
