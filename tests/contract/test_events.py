"""The spool: frames come back as written, a torn end is not read, damage elsewhere is noticed."""

import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer_core.errors import SpoolError
from trainer_core.events import (
    EVENT,
    METRICS,
    START,
    MetricBlock,
    Position,
    SpoolWriter,
    encode_event,
    read_spool,
    segment_path,
)


def steps(folder: Path, position: Position = START) -> list[int]:
    return [f.event()["step"] for f in read_spool(folder, position)]


def write_steps(folder: Path, count: int, **options: int) -> None:
    writer = SpoolWriter(folder, **options)
    for step in range(count):
        writer.event("progress", step=step)
    writer.close()


def test_frames_come_back_in_order_over_segments(tmp_path: Path) -> None:
    write_steps(tmp_path, 50, segment_bytes=200)
    assert len(list(tmp_path.iterdir())) > 5
    assert steps(tmp_path) == list(range(50))


def test_reading_goes_on_from_any_position(tmp_path: Path) -> None:
    write_steps(tmp_path, 20, segment_bytes=200)
    for k, frame in enumerate(list(read_spool(tmp_path))):
        assert steps(tmp_path, frame.after) == list(range(k + 1, 20))


def test_a_torn_end_is_not_read_until_it_is_whole(tmp_path: Path) -> None:
    write_steps(tmp_path, 3)
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:cut])
        got = steps(tmp_path)
        assert got == list(range(len(got)))
        assert len(got) < 3
    path.write_bytes(whole)
    assert steps(tmp_path) == [0, 1, 2]


def test_a_new_writer_leaves_the_torn_end_behind(tmp_path: Path) -> None:
    write_steps(tmp_path, 3)
    path = segment_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-4])
    writer = SpoolWriter(tmp_path)
    writer.event("progress", step=9)
    writer.close()
    assert steps(tmp_path) == [0, 1, 9]


def test_any_flipped_bit_in_the_middle_is_noticed(tmp_path: Path) -> None:
    write_steps(tmp_path, 12, segment_bytes=120)
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    for at in range(4, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(SpoolError, match=r"seg-000001\.log"):
            list(read_spool(tmp_path))


def test_a_small_limit_still_reads_one_large_frame(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.write((EVENT, encode_event("notice", {"text": "x" * 10_000})))
    writer.event("progress", step=1)
    frames = list(read_spool(tmp_path, limit_bytes=100))
    assert len(frames[0].payload) > 10_000
    assert [f.event()["kind"] for f in read_spool(tmp_path, frames[-1].after)][-1:] in (["progress"], [])


@given(st.lists(st.floats(width=64), min_size=1, max_size=20), st.text(min_size=1, max_size=30))
@settings(max_examples=60)
def test_every_float_comes_back_bit_for_bit(values: list[float], name: str) -> None:
    rows = [(k, k / 2, 1e9 + k, [v]) for k, v in enumerate(values)]
    block = MetricBlock.decode(MetricBlock.from_rows([name], rows).encode())
    assert block.names == (name,)
    for got, want in zip(block.values[0], values, strict=True):
        assert got == want and math.copysign(1, got) == math.copysign(1, want) or math.isnan(got) and math.isnan(want)


def test_a_block_of_the_wrong_size_is_refused() -> None:
    payload = MetricBlock.from_rows(["a"], [(1, 0, 0, [2.0])]).encode()
    with pytest.raises(SpoolError):
        MetricBlock.decode(payload[:-1])


def test_non_finite_numbers_in_events_are_words() -> None:
    assert b'"NaN"' in encode_event("x", {"a": {"b": [float("nan")]}})
    assert b'"-Infinity"' in encode_event("x", {"a": float("-inf")})


def test_a_full_disk_leaves_no_half_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SpoolWriter(tmp_path)
    writer.event("progress", step=0)
    real, writes = os.write, []

    def full_after_ten_bytes(fd: int, data: bytes) -> int:
        writes.append(len(data))
        if len(writes) == 1:
            return real(fd, data[:10])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_after_ten_bytes)
        with pytest.raises(OSError, match="full"):
            writer.event("progress", step=1)
    writer.write((METRICS, MetricBlock.from_rows(["a"], [(2, 0, 0, [1.0])]).encode()))
    assert [f.type for f in read_spool(tmp_path)] == [EVENT, METRICS]
