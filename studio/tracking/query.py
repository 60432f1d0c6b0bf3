"""Series for charts: raw points while they are few, else deterministic bins that keep minimum, maximum and last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from studio.runs.models import Attempt, Run
from studio.tracking.ingest import after_step, json_number
from studio.tracking.models import MetricFrame
from trainer_core.events import MetricBlock

Axis = Literal["step", "epoch", "time", "relative"]
AXES = ("step", "epoch", "time", "relative")
MAX_WIDTH = 4000
Floats = NDArray[np.float64]


def series(
    run_ids: Sequence[int],
    metrics: Sequence[str] | None = None,
    x: Axis = "step",
    lo: float | None = None,
    hi: float | None = None,
    width: int = 1500,
) -> dict[str, Any]:
    """`{"runs": [{"run", "cursor", "fence", "start", "series": [{"name", "x", "last", "min"?, "max"?, "n"?, "nonfinite"?, "bin"}]}]}`.

    `bin` is the width of a bin in x units, a power of two, or 0 when the points are raw. Only points of the surviving
    line of attempts; `fence` is the attempt that wrote the frame `cursor`, 0 without one. Three queries a run.
    """
    width = max(16, min(int(width), MAX_WIDTH))
    cursors = dict(Run.objects.filter(pk__in=run_ids).values_list("pk", "last_seq"))
    return {"runs": [_of_run(pk, cursors[pk], metrics, x, lo, hi, width) for pk in run_ids if pk in cursors]}


def visible_blocks(run_pk: int, up_to: int | None = None) -> Iterator[MetricBlock]:
    """The frames of a run in order, without the points that later attempts abandoned."""
    limits = dict(Attempt.objects.filter(run_id=run_pk).values_list("fence", "valid_to_step"))
    frames = MetricFrame.objects.filter(run_id=run_pk).order_by("seq")
    if up_to is not None:
        frames = frames.filter(seq__lte=up_to)
    for frame in frames.iterator(chunk_size=256):
        limit = limits.get(frame.fence)
        if limit is not None and frame.step0 > limit:
            continue
        block = MetricBlock.from_columns(frame.names, frame.n, bytes(frame.data))
        yield block if limit is None or frame.step1 <= limit else up_to_step(block, limit)


def abandoned(
    run_pk: int, metrics: Sequence[str] | None = None, x: Axis = "step", width: int = 1500
) -> list[dict[str, Any]]:
    """`[{"name", "fence", "x", "last", "bin", …}]`: what attempts wrote that a later one did again. Three queries."""
    ends = Attempt.objects.filter(run_id=run_pk).values_list("fence", "valid_to_step")
    limits = {fence: step for fence, step in ends if step is not None}
    first = MetricFrame.objects.filter(run_id=run_pk).order_by("seq").first()
    start = float(np.frombuffer(_decoded(first).times, dtype=np.float64)[0]) if first else 0.0
    xs: dict[tuple[str, int], list[Floats]] = {}
    ys: dict[tuple[str, int], list[Floats]] = {}
    for frame in MetricFrame.objects.filter(run_id=run_pk, fence__in=limits).order_by("seq").iterator(chunk_size=256):
        block = _decoded(frame)
        keep = np.frombuffer(block.steps, dtype=np.float64) > limits[frame.fence]
        if not keep.any():
            continue
        along = _axis(block, np.frombuffer(block.times, dtype=np.float64), x, start)[keep]
        for name, column in zip(block.names, block.values, strict=True):
            if metrics is None or name in metrics:
                xs.setdefault((name, frame.fence), []).append(along)
                ys.setdefault((name, frame.fence), []).append(np.frombuffer(column, dtype=np.float64)[keep])
    return [
        {
            "fence": fence,
            **_reduced(name, np.concatenate(xs[name, fence]), np.concatenate(ys[name, fence]), None, None, width),
        }
        for name, fence in sorted(xs)
    ]


def _decoded(frame: MetricFrame) -> MetricBlock:
    return MetricBlock.from_columns(frame.names, frame.n, bytes(frame.data))


def up_to_step(block: MetricBlock, step: int) -> MetricBlock:
    """The rows with a step of at most `step`."""
    keep = [i for i, s in enumerate(block.steps) if s <= step]
    rows = [(block.steps[i], block.epochs[i], block.times[i], [v[i] for v in block.values]) for i in keep]
    return MetricBlock.from_rows(block.names, rows)


def _of_run(
    run_pk: int, cursor: int, metrics: Sequence[str] | None, x: Axis, lo: float | None, hi: float | None, width: int
) -> dict[str, Any]:
    wanted = set(metrics) if metrics is not None else None
    xs: dict[str, list[Floats]] = {}
    ys: dict[str, list[Floats]] = {}
    start: float | None = None
    for block in visible_blocks(run_pk, cursor):
        if not len(block):
            continue
        times = np.frombuffer(block.times, dtype=np.float64)
        start = float(times[0]) if start is None else start
        along = _axis(block, times, x, start)
        for name, column in zip(block.names, block.values, strict=True):
            if wanted is None or name in wanted:
                xs.setdefault(name, []).append(along)
                ys.setdefault(name, []).append(np.frombuffer(column, dtype=np.float64))
    names = sorted(xs) if metrics is None else [m for m in metrics if m in xs]
    found = [_reduced(n, np.concatenate(xs[n]), np.concatenate(ys[n]), lo, hi, width) for n in names]
    fence = MetricFrame.objects.filter(run_id=run_pk, seq=cursor).values_list("fence", flat=True).first() or 0
    return {"run": run_pk, "cursor": cursor, "fence": fence, "start": start, "series": found}


def _axis(block: MetricBlock, times: Floats, x: Axis, start: float) -> Floats:
    if x == "step":
        return np.frombuffer(block.steps, dtype=np.float64)
    if x == "epoch":
        return np.frombuffer(block.epochs, dtype=np.float64)
    return times if x == "time" else times - start


def _reduced(name: str, x: Floats, y: Floats, lo: float | None, hi: float | None, width: int) -> dict[str, Any]:
    keep = np.isfinite(x)
    if lo is not None:
        keep &= x >= lo
    if hi is not None:
        keep &= x <= hi
    if not keep.all():
        x, y = x[keep], y[keep]
    if x.size <= width:
        return {"name": name, "bin": 0, "x": x.tolist(), "last": _numbers(y)}
    return {"name": name, **bins(x, y, width)}


def bins(x: Floats, y: Floats, width: int) -> dict[str, Any]:
    """At most about `width` bins of a power-of-two size that begin at multiples of it; so they do not move.

    A bin's x is that of its last point; min and max are over finite values and null when there is none.
    """
    span = float(x.max() - x.min())
    size = 2.0 ** np.ceil(np.log2(span / width)) if span > 0 else 1.0
    keys = np.floor(x / size)
    if np.any(np.diff(keys) < 0):
        order = np.argsort(keys, kind="stable")
        x, y, keys = x[order], y[order], keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    ends = np.r_[starts[1:], x.size]
    finite = np.isfinite(y)
    low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)
    good = np.add.reduceat(finite, starts, dtype=np.int64)
    count = ends - starts
    return {
        "bin": float(size),
        "x": x[ends - 1].tolist(),
        "last": _numbers(y[ends - 1]),
        "min": [v if g else None for v, g in zip(low.tolist(), good.tolist(), strict=True)],
        "max": [v if g else None for v, g in zip(high.tolist(), good.tolist(), strict=True)],
        "n": count.tolist(),
        "nonfinite": (count - good).tolist(),
    }


def _numbers(y: Floats) -> list[float | str]:
    return y.tolist() if np.isfinite(y).all() else [json_number(v) for v in y.tolist()]


def frames_after(run_pk: int, cursor: int, limit: int = 500) -> list[MetricFrame]:
    """Stored frames that follow a cursor, for a page that has to catch up."""
    return list(MetricFrame.objects.filter(run_id=run_pk, seq__gt=cursor).order_by("seq")[:limit])


__all__ = ["AXES", "abandoned", "after_step", "bins", "frames_after", "series", "up_to_step", "visible_blocks"]
