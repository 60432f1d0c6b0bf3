"""Series for charts: raw points while they are few, else deterministic bins that keep minimum, maximum and last.

What was compacted is read by the bins stored beside it where they are fine enough, and gives what its points would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from studio.runs.models import Run
from studio.tracking import stored
from studio.tracking.bins import Bins, Grid, bins, drawn, merged, numbers, of_points, rising_grid, size_for, unpack_bins
from studio.tracking.columns import Floats, unpack
from studio.tracking.models import MetricAxis, MetricChunk, MetricFrame
from studio.tracking.stored import EPOCHS, STEPS, TIMES

Axis = Literal["step", "epoch", "time", "relative"]
AXES = ("step", "epoch", "time", "relative")
COLUMN: dict[Axis, int] = {"step": STEPS, "epoch": EPOCHS, "time": TIMES, "relative": TIMES}
MAX_WIDTH = 4000
MOST_IDS = 500  # in one query


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
    line of attempts; `fence` is the attempt that wrote the frame `cursor`, 0 without one. Up to nine queries a run.
    """
    width = max(16, min(int(width), MAX_WIDTH))
    cursors = dict(Run.objects.filter(pk__in=run_ids).values_list("pk", "last_seq"))
    found = []
    for pk in run_ids:
        if pk in cursors:
            window = Window(x, lo, hi, stored.limits_of(pk))
            found.append({"run": pk, "cursor": cursors[pk], **_of_run(pk, cursors[pk], metrics, window, width)})
    return {"runs": found}


def abandoned(
    run_pk: int, metrics: Sequence[str] | None = None, x: Axis = "step", width: int = 1500
) -> list[dict[str, Any]]:
    """`[{"name", "fence", "x", "last", "bin", …}]`: what attempts wrote that a later one did again."""
    limits = stored.limits_of(run_pk)
    if not limits:
        return []
    start = stored.first_time(run_pk)
    lines: dict[tuple[str, int], list[tuple[Floats, Floats]]] = {}
    for fence, block in stored.stored_blocks(run_pk, metrics, fences=limits):
        if not (keep := stored.steps_of(block) > limits[fence]).any():
            continue
        columns = [np.frombuffer(c, dtype=np.float64) for c in (block.steps, block.epochs, block.times)]
        along = along_of(x, columns[COLUMN[x]], start)
        for name, column in zip(block.names, block.values, strict=True):
            if metrics is None or name in metrics:
                y = np.frombuffer(column, dtype=np.float64)
                lines.setdefault((name, fence), []).append(_where(along, y, keep & np.isfinite(along)))
    return [{"fence": fence, **_reduced(name, lines[name, fence], width)} for name, fence in sorted(lines)]


@dataclass(frozen=True)
class Window:
    """Which rows are wanted: of the surviving line, and within lo to hi on the axis x.

    Relative times are looked up and binned as times, by which bins are stored; `from_start` takes lo and hi there, and
    what is drawn back. Neither rounds, since times of one run are near each other as numbers go.
    """

    x: Axis
    lo: float | None
    hi: float | None
    limits: dict[int, int]

    def from_start(self, start: float) -> Window:
        lo, hi = (None if bound is None else bound + start for bound in (self.lo, self.hi))
        return replace(self, lo=lo, hi=hi)

    def grid_of(self, axis: MetricAxis) -> Grid | None:
        """The bins stored along x."""
        if axis.bin_log2 is None:
            return None
        if self.x == "step":
            return Grid(2.0**axis.bin_log2, axis.step0, axis.step1, 0, axis.bins)
        return rising_grid(axis.bins, COLUMN[self.x])

    def has_all(self, axis: MetricAxis, grid: Grid) -> bool:
        """Whether all rows of it are wanted."""
        limit = self.limits.get(axis.fence)
        return (
            (limit is None or axis.step1 <= limit)
            and (self.lo is None or grid.least >= self.lo)
            and (self.hi is None or grid.greatest <= self.hi)
        )

    def may_have_some(self, rows: MetricAxis | MetricFrame, grid: Grid | None = None) -> bool:
        limit = self.limits.get(rows.fence)
        if limit is not None and rows.step0 > limit:
            return False
        if self.x == "step":  # those of rows are whole numbers, cut off
            return (self.lo is None or rows.step1 + 1 > self.lo) and (self.hi is None or rows.step0 - 1 < self.hi)
        return not grid or (
            (self.lo is None or grid.greatest >= self.lo) and (self.hi is None or grid.least <= self.hi)
        )

    def columns(self, fence: int) -> list[int]:
        """Those that tell which rows of an attempt are wanted: steps, and x if that is another one."""
        return [STEPS, COLUMN[self.x]] if fence in self.limits and self.x != "step" else [COLUMN[self.x]]

    def keeps(self, fence: int, steps: Floats, along: Floats) -> NDArray[np.bool_]:
        """`steps` count where `columns` names them."""
        keep = np.isfinite(along)
        if fence in self.limits:
            keep &= steps <= self.limits[fence]
        if self.lo is not None:
            keep &= along >= self.lo
        if self.hi is not None:
            keep &= along <= self.hi
        return keep


@dataclass
class Rows:
    """The wanted rows of an axis or a frame: their number and range of x; x itself only where it had to be read, else the
    bins that have all of it."""

    n: int
    least: float
    greatest: float
    axis: MetricAxis | None = None
    along: Floats | None = None
    keep: NDArray[np.bool_] | None = None
    grid: Grid | None = None
    shared: tuple[Floats, Floats] | None = None

    @classmethod
    def read(cls, along: Floats, keep: NDArray[np.bool_], axis: MetricAxis | None = None) -> Rows | None:
        kept = along if keep.all() else along[keep]
        if not kept.size:
            return None
        return cls(kept.size, float(kept.min()), float(kept.max()), axis, along, keep)

    def unpack(self, values: bytes | memoryview) -> Bins:
        """The bins of a metric, from those stored with its values."""
        assert self.grid is not None
        self.shared = self.shared or self.grid.columns()
        return unpack_bins(self.shared, values, self.grid.part)

    def points(self, y: Floats) -> tuple[Floats, Floats]:
        assert self.along is not None
        assert self.keep is not None
        return _where(self.along, y, self.keep)

    def is_fine_enough(self, size: float) -> bool:
        return self.grid is not None and self.grid.size <= size


@dataclass
class Piece:
    """Some points of a metric: `y` of a frame, or those of a chunk, whose data are read when they are needed."""

    rows: Rows
    y: Floats | None = None
    bins: bytes | memoryview = b""


@dataclass
class Line:
    name: str
    pieces: list[Piece] = field(default_factory=list)

    def size(self, width: int) -> float:
        """Width of the bins; 0 while the points are few."""
        if sum(p.rows.n for p in self.pieces) <= width:
            return 0.0
        span = max(p.rows.greatest for p in self.pieces) - min(p.rows.least for p in self.pieces)
        return size_for(span, width)


def _of_run(run_pk: int, cursor: int, metrics: Sequence[str] | None, window: Window, width: int) -> dict[str, Any]:
    frames = stored.frames_up_to(run_pk, cursor)
    axes = stored.axes_before(run_pk, frames, cursor)
    start = stored.first_visible_time(axes, frames, window.limits)
    origin = (start or 0.0) if window.x == "relative" else 0.0
    window = window.from_start(origin)
    wanted = None if metrics is None else set(metrics)
    lines: dict[str, Line] = {}
    _add_chunks(lines, run_pk, axes, wanted, window)
    for frame in frames:
        _add_frame(lines, frame, wanted, window)
    names = sorted(lines) if metrics is None else [m for m in metrics if m in lines]
    sizes = {name: lines[name].size(width) for name in names}
    raw = _read_values(run_pk, [lines[n] for n in names], sizes, x=window.x)
    found = [_drawn(lines[name], sizes[name], raw, origin) for name in names]
    return {"fence": stored.fence_of(run_pk, cursor), "start": start, "series": found}


def _add_chunks(
    lines: dict[str, Line], run_pk: int, axes: list[MetricAxis], wanted: set[str] | None, window: Window
) -> None:
    """Pieces of the chunks with some wanted rows, in order. Two queries."""
    grids = [(axis, window.grid_of(axis)) for axis in axes]
    some = [(axis, grid) for axis, grid in grids if window.may_have_some(axis, grid)]
    rows = {a.pk: Rows(a.n, g.least, g.greatest, a, grid=g) for a, g in some if g and window.has_all(a, g)}
    data = axis_data([axis.pk for axis, _ in some if axis.pk not in rows])
    for axis, _ in some:
        if axis.pk in data:
            columns = unpack(data[axis.pk], window.columns(axis.fence))
            if read := Rows.read(columns[-1], window.keeps(axis.fence, columns[0], columns[-1]), axis):
                rows[axis.pk] = read
    chunks = MetricChunk.objects.filter(stored.chunks_of(run_pk, wanted)).order_by()
    of_axis: dict[int, list[tuple[str, bytes | memoryview]]] = {}
    for axis_pk, name, stored_bins in chunks.values_list("axis_id", "name", "bins"):
        if axis_pk in rows and (wanted is None or name in wanted):
            of_axis.setdefault(axis_pk, []).append((name, stored_bins))
    for axis, _ in some:
        for name, stored_bins in of_axis.get(axis.pk, ()):
            lines.setdefault(name, Line(name)).pieces.append(Piece(rows[axis.pk], bins=stored_bins))


def _add_frame(lines: dict[str, Line], frame: MetricFrame, wanted: set[str] | None, window: Window) -> None:
    if not window.may_have_some(frame) or (wanted is not None and wanted.isdisjoint(frame.names)):
        return
    table = stored.table_of(frame)
    along = table[COLUMN[window.x]]
    rows = Rows.read(along, window.keeps(frame.fence, table[STEPS], along))
    if rows is None:
        return
    for name, y in zip(frame.names, table[3:], strict=True):
        if wanted is None or name in wanted:
            lines.setdefault(name, Line(name)).pieces.append(Piece(rows, y))


Values = dict[tuple[int, str], bytes | memoryview]


def _read_values(run_pk: int, lines: Sequence[Line], sizes: dict[str, float], *, x: Axis) -> Values:
    """The chunks whose bins will not do, and x where only bins were asked for until now. Up to two queries."""
    needed: dict[int, Rows] = {}
    names = set()
    for line in lines:
        for piece in line.pieces:
            if piece.y is None and not piece.rows.is_fine_enough(sizes[line.name]):
                assert piece.rows.axis is not None
                needed[piece.rows.axis.pk] = piece.rows
                names.add(line.name)
    if not needed:
        return {}
    data = axis_data([pk for pk, rows in needed.items() if rows.along is None])
    for pk, rows in needed.items():
        if pk in data:
            (rows.along,) = unpack(data[pk], (COLUMN[x],))
            rows.keep = np.ones(rows.n, dtype=bool)
    values: Values = {}
    for some in _portions(list(needed)):
        chunks = MetricChunk.objects.filter(stored.chunks_of(run_pk, names), axis_id__in=some).order_by()
        values.update(((pk, name), data) for pk, name, data in chunks.values_list("axis_id", "name", "data"))
    return values


def _drawn(line: Line, size: float, values: Values, origin: float) -> dict[str, Any]:
    """`origin` is taken from x."""
    if not size:
        points = [piece.rows.points(_y(piece, line.name, values)) for piece in line.pieces]
        x, y = (np.concatenate(c) for c in zip(*points, strict=True))
        return _raw(line.name, x - origin, y)
    parts = []
    for piece in line.pieces:
        if piece.y is None and (piece.rows.axis.pk, line.name) not in values:  # type: ignore[union-attr]
            parts.append(piece.rows.unpack(piece.bins))
        else:
            parts.append(of_points(*piece.rows.points(_y(piece, line.name, values)), size))
    found = merged(parts, size)
    return {"name": line.name, **drawn(replace(found, x=found.x - origin), size)}


def _reduced(name: str, points: Sequence[tuple[Floats, Floats]], width: int) -> dict[str, Any]:
    x, y = (np.concatenate(c) for c in zip(*points, strict=True))
    return _raw(name, x, y) if x.size <= width else {"name": name, **bins(x, y, width)}


def _raw(name: str, x: Floats, y: Floats) -> dict[str, Any]:
    return {"name": name, "bin": 0, "x": x.tolist(), "last": numbers(y)}


def _y(piece: Piece, name: str, values: Values) -> Floats:
    if piece.y is not None:
        return piece.y
    assert piece.rows.axis is not None
    return unpack(values[piece.rows.axis.pk, name], (0,))[0]


def axis_data(pks: Sequence[int]) -> dict[int, bytes | memoryview]:
    """Steps, epochs, times and frame numbers of axes, packed. One query for MOST_IDS of them."""
    found: dict[int, bytes | memoryview] = {}
    for some in _portions(pks):
        found.update(MetricAxis.objects.filter(pk__in=some).order_by().values_list("pk", "data"))
    return found


def _portions(pks: Sequence[int]) -> list[Sequence[int]]:
    return [pks[i : i + MOST_IDS] for i in range(0, len(pks), MOST_IDS)]


def along_of(x: Axis, column: Floats, start: float | None) -> Floats:
    """The place of each row on an axis, by the column that COLUMN says; `start` is the time of the first row."""
    return column - (start or 0.0) if x == "relative" else column


def _where(x: Floats, y: Floats, keep: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    return (x, y) if keep.all() else (x[keep], y[keep])
