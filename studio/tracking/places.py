"""Where steps of a run lie along another axis, by the points that were logged around them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from studio.tracking import stored
from studio.tracking.columns import Floats, unpack
from studio.tracking.models import MetricAxis, MetricFrame
from studio.tracking.query import COLUMN, Axis, along_of, axis_data
from studio.tracking.stored import EPOCHS, STEPS, TIMES

Block = MetricAxis | MetricFrame


def places_of(run_pk: int, steps: Sequence[int], x: Axis) -> list[float] | None:
    """The place of each step on the surviving line, between those of the points before and after it; None without points.

    A step before the first point lies there, one after the last there. Reads only the pieces that hold one of the steps.
    Four queries, none along steps.
    """
    if x == "step":
        return [float(step) for step in steps]
    limits = stored.limits_of(run_pk)
    frames = stored.frames_up_to(run_pk, None)
    axes = stored.axes_before(run_pk, frames, None)
    every: list[Block] = [*axes, *frames]
    blocks = [block for block in every if block.step0 <= limits.get(block.fence, math.inf)]
    if not blocks or not steps:
        return None if not blocks else []
    start = stored.first_visible_time(axes, frames, limits)
    wanted = [blocks[i] for i in sorted(_around(blocks, limits, steps))]
    data = axis_data([block.pk for block in wanted if isinstance(block, MetricAxis)])
    known, places = [], []
    for block in wanted:
        columns = _columns(block, data)
        place = along_of(x, columns[COLUMN[x]], start)
        keep = np.isfinite(place) & (columns[STEPS] <= limits.get(block.fence, math.inf))
        known.append(columns[STEPS][keep])
        places.append(place[keep])
    at, place = np.concatenate(known), np.concatenate(places)
    if not at.size:
        return None
    order = np.argsort(at, kind="stable")
    found: list[float] = np.interp(np.asarray(steps, dtype=np.float64), at[order], place[order]).tolist()
    return found


def _around(blocks: Sequence[Block], limits: dict[int, int], steps: Sequence[int]) -> set[int]:
    """Numbers of the blocks that come nearest to a step from below, and from above unless one has it within."""
    first = np.array([block.step0 for block in blocks], dtype=np.float64)
    last = np.array([min(block.step1, limits.get(block.fence, math.inf)) for block in blocks], dtype=np.float64)
    found = set()
    for step in set(steps):
        below = np.where(first <= step, np.minimum(last, step), -np.inf)
        above = np.where(first > step, first, np.inf)
        near = (below == below.max()) & (below > -np.inf)
        if below.max() < step:
            near |= (above == above.min()) & (above < np.inf)
        found.update(np.flatnonzero(near).tolist())
    return found


def _columns(block: Block, data: dict[int, bytes | memoryview]) -> list[Floats]:
    if isinstance(block, MetricFrame):
        return list(stored.table_of(block)[:3])
    return unpack(data[block.pk], (STEPS, EPOCHS, TIMES))
