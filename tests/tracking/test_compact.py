"""What was compacted is what was written: bit for bit, each point once, and charts show the same of it."""

from __future__ import annotations

import math
import sqlite3
import struct
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.runs.models import Attempt, Run, State
from studio.tracking import bins, compact
from studio.tracking.columns import pack, packs, unpack
from studio.tracking.models import MetricAxis, MetricChunk, MetricFrame
from studio.tracking.query import AXES, abandoned, series
from studio.tracking.stored import fence_of, stored_blocks, visible_blocks
from tests.access.people import People
from tests.factories import make_attempt, make_run, make_token
from trainer_core.events import MetricBlock

NAN_WITH_PAYLOAD = struct.unpack("<d", b"\x01\x02\x03\x04\x05\x06\xf8\x7f")[0]
ODD = [math.nan, NAN_WITH_PAYLOAD, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1.7976931348623157e308]
NAMES = ["loss", "größe 🙂", "n" * 1000, "val/loss"]


@pytest.fixture(autouse=True)
def _no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and bins of few points, so that few make many."""
    monkeypatch.setattr(compact, "CHUNK_ROWS", 50)
    monkeypatch.setattr(compact, "MOST_BYTES", 6000)
    monkeypatch.setattr(bins, "POINTS_A_BIN", 4)


@pytest.fixture
def run(db: None) -> Run:
    run = make_run(state=State.RUNNING, fence=1)
    for fence in (1, 2):
        make_attempt(run, fence=fence)
    return run


values_of = st.one_of(st.floats(width=32), st.floats(), st.sampled_from(ODD))


@st.composite
def frames_of(draw: Any) -> list[tuple[int, MetricBlock]]:
    """(fence, rows): mostly onwards by whole steps, at times back, in halves, or with an epoch that is no number; times
    that rise, or do not."""
    found, fence, step = [], 1, draw(st.sampled_from([-40, 0, 1, 2**53 - 200]))
    stride = draw(st.sampled_from([1, 1, 3, 50]))
    odd_epochs, an_epoch = draw(st.sampled_from([0.0, 0.02])), draw(st.sampled_from([7, 0.5, 1000]))
    whole, rising, now = draw(st.booleans()), draw(st.booleans()), 1.7e9
    odd_steps = draw(
        st.sampled_from([[], [0], [-7, 0], [0.5] if step < 2**40 else [], [-7, 0.5 if step < 2**40 else 1]])
    )
    for _ in range(draw(st.integers(1, 8))):
        if fence == 1 and draw(st.integers(0, 9)) == 0:
            fence, step = 2, step - draw(st.integers(0, 60))
        names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=draw(st.integers(0, 9)) > 0))
        rows, dice = draw(st.integers(1, 50)), draw(st.randoms(use_true_random=False))
        special = draw(st.lists(values_of, min_size=1, max_size=8))
        lines = []
        for _ in range(rows):
            step += dice.choice([stride] * 15 + odd_steps) * 1.0
            epoch = math.nan if dice.random() < odd_epochs else step // an_epoch if whole else step / an_epoch
            y = [dice.choice(special) if dice.random() < 0.2 else dice.gauss(0, 1) for _ in names]
            now += dice.choice([0.0, 0.1, 3.0]) * dice.random()
            lines.append((step, float(epoch), now if rising else 1.7e9 + len(found) + dice.random(), y))
        if odd_steps and dice.random() < 0.3:
            dice.shuffle(lines)
        found.append((fence, MetricBlock.from_rows(names, lines)))
    return found


def write(run: Run, frames: list[tuple[int, MetricBlock]], limit: int | None) -> None:
    for rows in (MetricChunk, MetricAxis, MetricFrame):
        rows.objects.filter(run=run).delete()
    Attempt.objects.filter(run=run, fence=1).update(valid_to_step=limit)
    Run.objects.filter(pk=run.pk).update(last_seq=len(frames))
    for seq, (fence, block) in enumerate(frames, 1):
        low, high = int(min(block.steps)), int(max(block.steps))
        fields = {"fence": fence, "seq": seq, "step0": low, "step1": high, "n": len(block), "names": list(block.names)}
        MetricFrame.objects.create(run=run, data=block.columns(), **fields)


def lines_of(blocks: Any) -> dict[str, list[bytes]]:
    """The bits of each metric's points, in order."""
    found: dict[str, list[bytes]] = {}
    for block in blocks:
        for name, column in zip(block.names, block.values, strict=True):
            rows = zip(block.steps, block.epochs, block.times, column, strict=True)
            found.setdefault(name, []).extend(struct.pack("<4d", *row) for row in rows)
    return found


def shown(run: Run, query: dict[str, Any]) -> Any:
    return (
        series([run.pk], **query),
        abandoned(run.pk, query["metrics"], query["x"], query["width"]),
        fence_of(run.pk, 1),
    )


def plain(frames: list[tuple[int, MetricBlock]], limit: int | None) -> dict[str, tuple[Any, Any]]:
    """Steps and values of what is visible, by the plainest rule."""
    found: dict[str, list[tuple[float, float]]] = {}
    for fence, block in frames:
        for name, column in zip(block.names, block.values, strict=True):
            for step, y in zip(block.steps, column, strict=True):
                if fence != 1 or limit is None or step <= limit:
                    found.setdefault(name, []).append((step, y))
    return {name: tuple(np.array(points).T) for name, points in found.items()}


@pytest.mark.usefixtures("small")
@settings(
    max_examples=40 if connection.vendor == "sqlite" else 20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_chunks_and_frames_show_the_same_for_any_split(run: Run, data: Any) -> None:
    frames = data.draw(frames_of())
    steps = sorted(s for _, block in frames for s in block.steps)
    place = st.sampled_from(steps)
    times = sorted(t for _, block in frames for t in block.times)
    places = {"step": place, "epoch": st.sampled_from([e for _, b in frames for e in b.epochs if e == e] or [0.0])}
    places |= {"time": st.sampled_from(times), "relative": st.sampled_from([t - times[0] for t in times])}
    limit = data.draw(st.one_of(st.none(), place.map(int)))
    write(run, frames, limit)
    queries = []
    for x in AXES:
        metrics = data.draw(st.sampled_from([None, [NAMES[0]], NAMES, ["none"]]))
        lo, hi = (data.draw(st.one_of(st.none(), places[x])) for _ in range(2))
        width = data.draw(st.sampled_from([16, 20, 64, 1000]))
        queries.append({"x": x, "metrics": metrics, "lo": lo, "hi": hi, "width": width})
    before = [shown(run, q) for q in queries]
    stored, visible = lines_of(b for _, b in stored_blocks(run.pk)), lines_of(visible_blocks(run.pk))
    for keep in sorted(data.draw(st.sets(st.integers(0, len(frames)), min_size=1, max_size=3)), reverse=True):
        compact.compact_run(run.pk, keep=keep)
        assert MetricFrame.objects.filter(run=run).count() <= keep
        assert [shown(run, q) for q in queries] == before
        assert lines_of(b for _, b in stored_blocks(run.pk)) == stored
        assert lines_of(visible_blocks(run.pk)) == visible
        assert lines_of(visible_blocks(run.pk, metrics=[NAMES[0]])).get(NAMES[0]) == visible.get(NAMES[0])
    for name, (x, y) in plain(frames, limit).items():
        (found,) = series([run.pk], [name], width=16)["runs"][0]["series"]
        if x.size > 16:
            assert found == {"name": name, **bins.bins(x, y, 16)}
        else:
            assert (found["x"], found["last"]) == (x.tolist(), bins.numbers(y))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("limit", [None, 250])
@pytest.mark.parametrize("order", ["onwards", "back", "mixed"])
def test_steps_in_any_order_and_cut_anywhere_are_binned_as_points(run: Run, order: str, limit: int | None) -> None:
    steps = list(range(1, 301))
    if order != "onwards":
        steps = steps[::-1] if order == "back" else list(np.random.default_rng(3).permutation(steps))
    rows = [(float(s), 0.0, 1e9 + s, [1.0 / s]) for s in steps]
    frames = [(1, MetricBlock.from_rows(["loss"], rows[i : i + 20])) for i in range(0, 300, 20)]
    write(run, frames, limit)
    compact.compact_run(run.pk)
    for lo, hi in ((None, None), (33, 222)):
        kept = np.array([s for s in steps if (lo or 1) <= s <= min(hi or 300, limit or 300)], dtype=float)
        (found,) = series([run.pk], lo=lo, hi=hi, width=16)["runs"][0]["series"]
        assert found == {"name": "loss", **bins.bins(kept, 1 / kept, 16)}


def of_epochs(run: Run, epochs: Any) -> list[dict[str, Any]]:
    """What charts by epoch show of a run whose points have these."""
    rows = [(s + 1.0, float(e), 1e9 + s, [1 / (s + 1)]) for s, e in enumerate(epochs)]
    return compacted_alike(run, rows, "epoch", 0.0)


def of_times(run: Run, times: Any, x: str) -> list[dict[str, Any]]:
    """What charts by time show of a run whose points were logged at these seconds after the first."""
    rows = [(s + 1.0, s / 7, 1.7e9 + 0.123 + t, [1 / (s + 1)]) for s, t in enumerate(times)]
    return compacted_alike(run, rows, x, rows[0][2] if x == "time" else 0.0)


def compacted_alike(run: Run, rows: list[Any], x: str, first: float) -> list[dict[str, Any]]:
    write(run, [(1, MetricBlock.from_rows(["loss"], rows[i : i + 20])) for i in range(0, len(rows), 20)], None)
    bounds = [{}, {"lo": 3.0}, {"lo": 2.0, "hi": 5.5}, {"hi": 1.0}, {"lo": 1e6}]
    queries = [{side: first + value for side, value in bound.items()} for bound in bounds]
    before = [series([run.pk], x=x, width=16, **query) for query in queries]
    compact.compact_run(run.pk)
    after = [series([run.pk], x=x, width=16, **query) for query in queries]
    assert after == before
    return before


RISING = {
    "a part of an epoch": np.arange(1, 301) / 40,
    "whole epochs": np.arange(1, 301) // 40,
    "one epoch": np.full(300, 3.0),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", RISING)
def test_a_line_along_rising_epochs_is_drawn_without_reading_its_points(run: Run, kind: str) -> None:
    of_epochs(run, RISING[kind])
    found = series([run.pk], x="epoch", width=16)
    MetricAxis.objects.filter(run=run).update(data=MetricAxis.objects.filter(run=run)[0].data)  # times of the first one
    MetricChunk.objects.filter(run=run).update(data=b"")
    assert series([run.pk], x="epoch", width=16) == found
    assert sum(found["runs"][0]["series"][0]["n"]) == 300


@pytest.mark.usefixtures("small")
def test_along_other_epochs_the_points_are_read(run: Run) -> None:
    of_epochs(run, np.r_[np.arange(150) / 20, np.arange(150) / 20])
    of_epochs(run, np.where(np.arange(300) % 60 == 7, np.nan, np.arange(300) / 40))
    of_epochs(run, np.arange(300)[::-1] / 40)
    of_epochs(run, np.arange(300) * 1e-300)  # more finely than bins are stored


@pytest.mark.usefixtures("small")
def test_chunks_from_before_epochs_had_bins_show_the_same(run: Run) -> None:
    before = of_epochs(run, RISING["a part of an epoch"])
    for rows in (MetricAxis, MetricChunk):
        for row in rows.objects.filter(run=run):
            assert len(packs(row.bins)) > 1
            row.bins = bytes(packs(row.bins)[0])
            row.save(update_fields=["bins"])
    assert series([run.pk], x="epoch", width=16) == before[0]
    assert series([run.pk], x="epoch", width=16, lo=2.0, hi=5.5) == before[2]


ONWARDS = {"evenly": np.arange(300) / 40, "ever faster": np.sqrt(np.arange(300))}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("x", ["time", "relative"])
@pytest.mark.parametrize("kind", ONWARDS)
def test_a_line_along_time_is_drawn_without_reading_its_points(run: Run, kind: str, x: str) -> None:
    of_times(run, ONWARDS[kind], x)
    found = series([run.pk], x=x, width=16)
    (line,) = found["runs"][0]["series"]
    origin = 1.7e9 + 0.123 if x == "time" else 0.0
    (part,) = series([run.pk], x=x, width=16, lo=origin + 2.01, hi=origin + 5.51)["runs"][0]["series"]
    assert sum(part.get("n", [1] * len(part["x"]))) == np.sum((ONWARDS[kind] > 2.01) & (ONWARDS[kind] < 5.51))
    assert sum(line["n"]) == 300
    assert line["x"][-1] == pytest.approx(origin + ONWARDS[kind][-1], abs=1e-6)
    MetricChunk.objects.filter(run=run).update(data=b"")
    for axis in MetricAxis.objects.filter(run=run).order_by("seq0", "part")[1:]:  # the first has when the run began
        MetricAxis.objects.filter(pk=axis.pk).update(data=b"")
    assert series([run.pk], x=x, width=16) == found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("x", ["time", "relative"])
def test_along_other_times_the_points_are_read(run: Run, x: str) -> None:
    of_times(run, np.r_[np.arange(150), np.arange(149)] / 20, x)  # a clock that was set back
    of_times(run, np.arange(300)[::-1] / 40, x)
    of_times(run, np.where(np.arange(300) % 60 == 7, np.nan, np.arange(300) / 40), x)
    of_times(run, np.zeros(300), x)
    of_times(run, np.r_[np.arange(150), 1e7 + np.arange(150)] / 40, x)  # a pause, coarser bins than are wanted


@pytest.mark.usefixtures("small")
def test_chunks_from_before_times_had_bins_show_the_same(run: Run) -> None:
    """Then the bins of epochs did not say whose they are."""
    before = of_times(run, ONWARDS["evenly"], "relative")
    by_epoch = series([run.pk], x="epoch", width=16)
    for axis in MetricAxis.objects.filter(run=run):
        steps, head, epochs, *_ = packs(axis.bins)
        axis.bins = bytes(steps) + pack(unpack(head, (0, 1))) + bytes(epochs)
        axis.save(update_fields=["bins"])
    for chunk in MetricChunk.objects.filter(run=run):
        chunk.bins = b"".join(packs(chunk.bins)[:2])
        chunk.save(update_fields=["bins"])
    assert series([run.pk], x="relative", width=16) == before[0]
    assert series([run.pk], x="relative", width=16, lo=2.0, hi=5.5) == before[2]
    MetricChunk.objects.filter(run=run).update(data=b"")
    assert series([run.pk], x="epoch", width=16) == by_epoch


@pytest.mark.parametrize("count", [3, 20_000])
def test_however_many_metrics_are_asked_for_only_those_are_given(run: Run, count: int) -> None:
    if connection.vendor == "sqlite":  # as it is built by default; some builds take more
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
    names = [f"metric {i}" for i in range(20_001)] if count > 3 else ["a", "b", "c", "d"]
    write(run, [(1, MetricBlock.from_rows(names, [(s, 0.0, 1e9, [1.0] * len(names)) for s in (1, 2)]))], None)
    before = series([run.pk], names[:count])
    assert len(before["runs"][0]["series"]) == count
    compact.compact_run(run.pk)
    assert series([run.pk], names[:count]) == before
    assert len(series([run.pk])["runs"][0]["series"]) == len(names)


@settings(deadline=None)
@given(st.lists(st.lists(values_of, min_size=3, max_size=3), min_size=1, max_size=300))
def test_columns_come_back_bit_for_bit(rows: list[list[float]]) -> None:
    columns = np.array(rows).T
    data = pack(list(columns))
    assert [c.tobytes() for c in unpack(data, (0, 1, 2))] == [c.tobytes() for c in columns]
    assert unpack(data, (2,))[0].tobytes() == columns[2].tobytes()


def test_damaged_bytes_are_an_error_and_not_other_numbers() -> None:
    data = bytearray(pack([np.random.default_rng(0).normal(size=1000)]))
    data[len(data) // 2] ^= 1
    with pytest.raises(Exception, match="(?i)corrupt|checksum|decompress"):
        unpack(bytes(data), (0,))


@pytest.fixture(scope="module")
def million() -> Any:
    """1M points with one NaN and one spike."""
    rng = np.random.default_rng(1)
    y = (2.0 * np.exp(-np.arange(1_000_000) / 3e5) + 0.1 * rng.normal(size=1_000_000)).astype(np.float32).astype(float)
    y[123_457], y[777_777] = math.nan, 99.0
    return y


@pytest.mark.parametrize("keep", [0, 37])
def test_one_nan_and_one_spike_in_a_million_points_are_seen_at_every_width(run: Run, million: Any, keep: int) -> None:
    frames = []
    for at in range(0, million.size, 5000):
        steps = np.arange(at + 1, at + 5001, dtype=float)
        columns = np.concatenate([steps, steps / 1000, 1.7e9 + steps / 100, million[at : at + 5000]])
        frames.append((1, MetricBlock.from_columns(["loss"], 5000, columns.tobytes())))
    write(run, frames, None)
    compact.compact_run(run.pk, keep=keep)
    for width in (16, 100, 377, 1500, 4000):
        for lo, hi in ((None, None), (100_000, 800_000), (123_000.5, None), (123_458, 777_778)):
            (found,) = series([run.pk], lo=lo, hi=hi, width=width)["runs"][0]["series"]
            assert max(v for v in found["max"] if v is not None) == 99.0
            assert sum(found["nonfinite"]) == (1 if (lo or 0) <= 123_458 else 0)
            first, last = math.ceil(lo or 1), int(hi or 1_000_000)
            assert sum(found["n"]) == last - first + 1
            x = np.arange(first, last + 1, dtype=float)
            assert found == {"name": "loss", **bins.bins(x, million[first - 1 : last], width)}


@pytest.mark.usefixtures("small")
def test_downloads_and_the_api_give_the_same_of_chunks_and_of_frames(people: People) -> None:
    run = make_run(people.project, state=State.SUCCEEDED)
    make_attempt(run, fence=1, valid_to_step=150)
    odd = dict(zip(range(10, 100, 10), ODD, strict=False))
    rows = [(float(s), s / 7, 1e9 + s / 3, [odd.get(s, 1 / s), float(s)]) for s in range(1, 201)]
    write(run, [(1, MetricBlock.from_rows(["=loss", "acc"], rows[i : i + 20])) for i in range(0, 200, 20)], 150)
    viewer, (_, token) = people.client("viewer"), make_token(people.viewer)
    headers = {"Authorization": f"Bearer {token}"}

    def answers() -> list[Any]:
        table = b"".join(viewer.get(reverse("run-metrics", args=[run.pk, "csv"])))
        pages = [
            viewer.get(f"/api/v1/runs/{run.pk}/points", {"metric": "=loss", "skip": skip, "limit": 70}, headers=headers)
            for skip in (0, 70, 140)
        ]
        return [sorted(table.decode().split()), *(page.json() for page in pages)]

    before = answers()
    assert len(before[0]) == 301 and [len(page["steps"]) for page in before[1:]] == [70, 70, 10]
    compact.compact_run(run.pk)
    assert not MetricFrame.objects.filter(run=run).exists()
    assert answers() == before
