"""Frames that are settled become chunks: about 16,000 points of a metric each, compressed, with bins beside them.

Frames go in the transaction in which their chunks come, always the oldest ones of a run first. A reader that looks at
the frames and then at the chunks of what is older (see tracking.stored) finds every point exactly once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence

import numpy as np
from django.db import transaction
from django.db.models import Count, Sum
from django.db.models.functions import Length

from studio.runs.models import HELD, Run
from studio.tracking.bins import Bins, Rising, level_for, level_for_rising, of_points, pack_axis, pack_values
from studio.tracking.columns import Floats, pack
from studio.tracking.models import MetricAxis, MetricChunk, MetricFrame

log = logging.getLogger(__name__)
CHUNK_ROWS = 16_384
MOST_BYTES = 8 << 20  # of frames that are replaced in one transaction
KEEP_FRAMES = 128  # of a run that goes on: pages catch up from them
WAIT_FRAMES, WAIT_ROWS = 512, 8 * CHUNK_ROWS  # more than either of them older than those: it is time
WAIT_BYTES = 64 << 20  # of a run's frames, all of which a chart reads: fewer are kept of a run with very many metrics


def compact_waiting() -> None:
    """Compact what has settled: all of runs that no worker holds, and what has gathered of the others."""
    waiting = MetricFrame.objects.order_by().values_list("run_id", "run__state")
    sizes = {"frames": Count("pk"), "rows": Sum("n"), "size": Sum(Length("data"))}
    for run_pk, state, frames, rows, size in waiting.annotate(**sizes):
        try:
            if state not in HELD:
                compact_run(run_pk)
            elif size > WAIT_BYTES:
                compact_run(run_pk, keep=min(KEEP_FRAMES, frames * (WAIT_BYTES // 2) // size))
            elif frames > KEEP_FRAMES + (0 if rows > WAIT_ROWS else WAIT_FRAMES):
                compact_run(run_pk, keep=KEEP_FRAMES)
        except Exception:
            log.exception("the points of run %s were not compacted; it is tried again", run_pk)


def compact_run(run_pk: int, *, keep: int = 0) -> int:
    """Replace all frames but the newest `keep`; how many were. One transaction for about MOST_BYTES of frames."""
    newest = Run.objects.filter(pk=run_pk).values_list("last_seq", flat=True).first() or 0
    count = 0
    while replaced := compact_oldest(run_pk, newest - keep):
        count += replaced
    return count


def compact_oldest(run_pk: int, up_to: int) -> int:
    """Replace the oldest frames of one attempt in one transaction; how many, 0 when another was faster."""
    last = _last_of_batch(run_pk, up_to)
    if last is None:
        return 0
    frames = list(MetricFrame.objects.filter(run_id=run_pk, seq__lte=last).order_by("seq"))
    if not frames:
        return 0
    made = list(_chunks(frames))
    with transaction.atomic():
        gone, _ = MetricFrame.objects.filter(run_id=run_pk, seq__gte=frames[0].seq, seq__lte=last).delete()
        if gone != len(frames):
            transaction.set_rollback(True)
            return 0
        MetricAxis.objects.bulk_create([axis for axis, _ in made])
        chunks = [chunk for axis, of_axis in made for chunk in _placed(axis, of_axis)]
        MetricChunk.objects.bulk_create(chunks, batch_size=100)
    return gone


def name_hash(name: str) -> int:
    """64 bits, signed."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _last_of_batch(run_pk: int, up_to: int) -> int | None:
    """Number of the last of the oldest frames, of one attempt and of about MOST_BYTES."""
    sizes = MetricFrame.objects.filter(run_id=run_pk, seq__lte=up_to).order_by("seq")
    last, first_fence, total = None, None, 0
    for seq, fence, size in sizes.annotate(size=Length("data")).values_list("seq", "fence", "size")[:4096]:
        total += size
        if last is not None and (fence != first_fence or total > MOST_BYTES):
            break
        last, first_fence = seq, fence
    return last


def _placed(axis: MetricAxis, chunks: list[MetricChunk]) -> list[MetricChunk]:
    for chunk in chunks:
        chunk.axis = axis
    return chunks


def _chunks(frames: Sequence[MetricFrame]) -> Iterator[tuple[MetricAxis, list[MetricChunk]]]:
    """Metrics that are in the very same frames share an axis; an axis has at most CHUNK_ROWS rows."""
    tables = [np.frombuffer(f.data, dtype="<f8").reshape(3 + len(f.names), f.n) for f in frames]
    columns: dict[str, list[tuple[int, int]]] = {}
    for i, frame in enumerate(frames):
        for k, name in enumerate(frame.names):
            columns.setdefault(name, []).append((i, 3 + k))
    sharing: dict[tuple[int, ...], list[str]] = {}
    for name, places in columns.items():
        sharing.setdefault(tuple(i for i, _ in places), []).append(name)
    part = 0
    for where, names in sharing.items():
        seqs = np.repeat([float(frames[i].seq) for i in where], [frames[i].n for i in where])
        axes = [np.concatenate([tables[i][k] for i in where]) for k in range(3)] + [seqs]
        lines = [np.concatenate([tables[i][k] for i, k in columns[name]]) for name in names]
        for piece in np.array_split(np.arange(seqs.size), -(-seqs.size // CHUNK_ROWS) or 1):
            if piece.size:
                cut = slice(piece[0], piece[-1] + 1)
                yield _packed(
                    frames, part, [a[cut] for a in axes], dict(zip(names, (y[cut] for y in lines), strict=True))
                )
                part += 1


def _packed(
    frames: Sequence[MetricFrame], part: int, axes: Sequence[Floats], lines: dict[str, Floats]
) -> tuple[MetricAxis, list[MetricChunk]]:
    steps, run_pk = axes[0], frames[0].run_id
    level = level_for(steps)
    others = [] if level is None else list(_rising(axes))

    def binned(values: Floats) -> list[Bins]:
        """By steps, and by what else rises."""
        return [of_points(steps, values, 2.0 ** (level or 0)), *(one.of_points(values) for one in others)]

    axis = MetricAxis(
        run_id=run_pk,
        fence=frames[0].fence,
        seq0=frames[0].seq,
        seq1=frames[-1].seq,
        part=part,
        n=steps.size,
        step0=int(steps.min()),
        step1=int(steps.max()),
        bin_log2=level,
        bins=b"" if level is None else _axis_bins(binned(steps), others),
        data=pack(axes),
    )
    chunks = [
        MetricChunk(
            run_id=run_pk,
            position=position,
            name_hash=name_hash(name),
            name=name,
            bins=b"" if level is None else pack_values(binned(values)),
            data=pack([values]),
        )
        for position, (name, values) in enumerate(lines.items())
    ]
    return axis, chunks


def _rising(axes: Sequence[Floats]) -> Iterator[Rising]:
    """Epochs and times, where they never go back."""
    for column in (1, 2):
        if (level := level_for_rising(axes[column])) is not None:
            yield Rising(column, axes[column], level)


def _axis_bins(found: list[Bins], others: Sequence[Rising]) -> bytes:
    return pack_axis(found[0], list(zip(others, found[1:], strict=True)))
