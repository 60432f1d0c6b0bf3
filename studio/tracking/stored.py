"""Reading what is stored, each point once and in order: chunks of what was compacted, then the frames that follow.

Frames are read before the chunks, and of the chunks only those of older frames than the first one read. Frames are
replaced from the oldest on and chunks never change, so whatever is compacted meanwhile is seen once, without a lock.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from itertools import groupby

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from studio.runs.models import Attempt
from studio.tracking.columns import Floats, unpack
from studio.tracking.compact import name_hash
from studio.tracking.models import MetricAxis, MetricChunk, MetricFrame
from trainer_core.events import MetricBlock

STEPS, EPOCHS, TIMES, SEQS = range(4)  # of an axis
MOST_NAMES = 500
FRAMES_AT_ONCE, VALUES_AT_ONCE = 16, 1 << 19


def limits_of(run_pk: int) -> dict[int, int]:
    """The last step of each attempt (by fence) that a later one did not do again. One query."""
    ends = Attempt.objects.filter(run_id=run_pk).values_list("fence", "valid_to_step")
    return {fence: step for fence, step in ends if step is not None}


def frames_up_to(run_pk: int, newest: int | None) -> list[MetricFrame]:
    """Those that are not compacted. One query."""
    frames = MetricFrame.objects.filter(run_id=run_pk).order_by("seq")
    return list(frames if newest is None else frames.filter(seq__lte=newest))


def axes_before(run_pk: int, frames: list[MetricFrame], newest: int | None) -> list[MetricAxis]:
    """The axes of what is older than these frames, without their data; `newest` counts when there are no frames."""
    axes = MetricAxis.objects.filter(run_id=run_pk).order_by("seq0", "part").defer("data")
    before = frames[0].seq - 1 if frames else newest
    return list(axes if before is None else axes.filter(seq1__lte=before))


def chunks_of(run_pk: int, metrics: Collection[str] | None) -> Q:
    """The chunks of these metrics of a run; of all of them with None, or when more are named than a query may take."""
    if metrics is None or len(metrics) > MOST_NAMES:
        return Q(run_id=run_pk)
    return Q(run_id=run_pk, name_hash__in=[name_hash(m) for m in metrics], name__in=list(metrics))


def stored_blocks(
    run_pk: int,
    metrics: Collection[str] | None = None,
    up_to: int | None = None,
    fences: Collection[int] | None = None,
) -> Iterator[tuple[int, MetricBlock]]:
    """(fence, rows) of all attempts or of these, abandoned rows too; they may have more than the wanted metrics.

    Two queries, and two for each piece of about 16,000 rows.
    """
    frames = frames_up_to(run_pk, up_to)
    for axis in axes_before(run_pk, frames, up_to):
        if fences is not None and axis.fence not in fences:
            continue
        chunks = MetricChunk.objects.filter(chunks_of(run_pk, metrics), axis_id=axis.pk).order_by("position")
        found = dict(chunks.values_list("name", "data"))
        if found:
            steps, epochs, times = (_array(c) for c in unpack(axis.data, (STEPS, EPOCHS, TIMES)))
            values = tuple(_array(unpack(data, (0,))[0]) for data in found.values())
            yield axis.fence, MetricBlock(tuple(found), steps, epochs, times, values)
    for frame in frames:
        if fences is not None and frame.fence not in fences:
            continue
        if metrics is None or not set(metrics).isdisjoint(frame.names):
            yield frame.fence, MetricBlock.from_columns(frame.names, frame.n, bytes(frame.data))


def streamed_blocks(
    run_pk: int, newest: int, metrics: Collection[str] | None = None
) -> Iterator[tuple[int, MetricBlock]]:
    """(fence, rows) up to the frame `newest`, abandoned rows too, with the wanted metrics alone; for exports.

    Holds some megabytes at a time, however large the run is, and no transaction: what is compacted meanwhile is read as
    a frame or as a chunk, since frames come first and each row of a chunk knows its frame. The metrics of a wide chunk
    come in several blocks.
    """
    done = 0
    while done < newest:
        frames = MetricFrame.objects.filter(run_id=run_pk, seq__gt=done, seq__lte=newest).order_by("seq")
        batch = list(frames[:FRAMES_AT_ONCE])
        first = batch[0].seq if batch else newest + 1
        if first > done + 1:
            yield from _from_axes(run_pk, done, first, metrics)
        for frame in batch:
            places = [i for i, name in enumerate(frame.names) if metrics is None or name in metrics]
            if places:
                block = MetricBlock.from_columns(frame.names, frame.n, bytes(frame.data))
                names, values = tuple(block.names[i] for i in places), tuple(block.values[i] for i in places)
                yield frame.fence, MetricBlock(names, block.steps, block.epochs, block.times, values)
        done = batch[-1].seq if batch else newest


def _from_axes(
    run_pk: int, after: int, before: int, metrics: Collection[str] | None
) -> Iterator[tuple[int, MetricBlock]]:
    """Rows of the frames between the two, from chunks."""
    axes = MetricAxis.objects.filter(run_id=run_pk, seq1__gt=after, seq0__lt=before).order_by("seq0", "part")
    for pk in list(axes.values_list("pk", flat=True)):
        axis = MetricAxis.objects.get(pk=pk)
        *columns, seqs = unpack(axis.data, (STEPS, EPOCHS, TIMES, SEQS))
        keep = (seqs > after) & (seqs < before)
        steps, epochs, times = (_array(column[keep]) for column in columns)
        chunks = MetricChunk.objects.filter(chunks_of(run_pk, metrics), axis_id=pk).order_by("position")
        at_once = max(1, VALUES_AT_ONCE // max(1, axis.n))
        at = -1
        while found := list(chunks.filter(position__gt=at).values_list("position", "name", "data")[:at_once]):
            at = found[-1][0]
            wanted = [(name, data) for _, name, data in found if metrics is None or name in metrics]
            if wanted and len(steps):
                values = tuple(_array(unpack(data, (0,))[0][keep]) for _, data in wanted)
                yield axis.fence, MetricBlock(tuple(name for name, _ in wanted), steps, epochs, times, values)


def visible_blocks(
    run_pk: int, up_to: int | None = None, metrics: Collection[str] | None = None
) -> Iterator[MetricBlock]:
    """All rows in order, without the points that later attempts abandoned."""
    limits = limits_of(run_pk)
    for fence, block in stored_blocks(run_pk, metrics, up_to):
        limit = limits.get(fence)
        kept = block if limit is None else rows_where(block, steps_of(block) <= limit)
        if len(kept):
            yield kept


def first_time(run_pk: int) -> float:
    """When the first row was logged, seconds since the epoch; 0 without one."""
    frames = frames_up_to(run_pk, None)
    return first_visible_time(axes_before(run_pk, frames, None), frames, {}) or 0.0


def first_visible_time(axes: list[MetricAxis], frames: list[MetricFrame], limits: dict[int, int]) -> float | None:
    """When the first row of the surviving line was logged. Mostly one query, for one axis."""
    for _, batch in groupby(axes, key=lambda axis: axis.seq0):
        found: list[tuple[float, float]] = []  # frame number, time
        for axis in batch:
            limit = limits.get(axis.fence)
            if limit is not None and axis.step0 > limit:
                continue
            steps, times, seqs = unpack(axis.data, (STEPS, TIMES, SEQS))
            for i in np.flatnonzero(steps <= np.inf if limit is None else steps <= limit)[:1]:
                found.append((float(seqs[i]), float(times[i])))
            if found and found[-1][0] == axis.seq0:
                return found[-1][1]
        if found:
            return min(found, key=lambda pair: pair[0])[1]
    for frame in frames:
        table, limit = table_of(frame), limits.get(frame.fence)
        for i in np.flatnonzero(table[STEPS] <= np.inf if limit is None else table[STEPS] <= limit)[:1]:
            return float(table[TIMES][i])
    return None


def table_of(frame: MetricFrame) -> NDArray[np.float64]:
    """(3 + metrics, n): steps, epochs, times, then the metrics."""
    return np.frombuffer(frame.data, dtype="<f8").reshape(3 + len(frame.names), frame.n)


def frames_after(run_pk: int, cursor: int, limit: int = 500) -> list[MetricFrame] | None:
    """Frames that follow a cursor, for a page that has to catch up; None when the next one is compacted already."""
    frames = list(MetricFrame.objects.filter(run_id=run_pk, seq__gt=cursor).order_by("seq")[:limit])
    return None if not frames or frames[0].seq != cursor + 1 else frames


def fence_of(run_pk: int, seq: int) -> int:
    """The attempt that wrote a frame, 0 when there is none. Up to two queries."""
    for rows in (
        MetricFrame.objects.filter(run_id=run_pk, seq=seq),
        MetricAxis.objects.filter(run_id=run_pk, seq0__lte=seq, seq1__gte=seq).order_by(),
    ):
        fence: int | None = rows.values_list("fence", flat=True).first()
        if fence is not None:
            return fence
    return 0


def steps_of(block: MetricBlock) -> Floats:
    return np.frombuffer(block.steps, dtype=np.float64)


def rows_where(block: MetricBlock, keep: NDArray[np.bool_]) -> MetricBlock:
    if keep.all():
        return block
    steps, epochs, times, *values = (
        _array(np.frombuffer(c, dtype=np.float64)[keep])
        for c in (block.steps, block.epochs, block.times, *block.values)
    )
    return MetricBlock(block.names, steps, epochs, times, tuple(values))


def _array(column: Floats) -> array[float]:
    made = array("d")
    made.frombytes(column.tobytes())
    return made
