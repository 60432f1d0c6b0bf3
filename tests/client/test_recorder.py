"""What is kept until it is written: bounded, never waiting for a disk that is full, and told when something was left out."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

import studio.client
from studio.client.folder import AttemptFolder, InUse, RunFolder
from studio.client.recorder import frames_of_rows, numbers, plain
from trainer_core.events import METRICS, read_spool

ROOT = Path(__file__).parents[2]
FULL = """
import resource, signal, sys, time
import studio.client
from studio.client import recorder
recorder.MOST_ROWS = 1000
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = studio.client.init("p", folder=sys.argv[1], offline=True)
run.log({"loss": 0.0}, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))  # no file grows beyond: as a disk that is full
longest, step = 0.0, 0
while not run._recorder.lost:
    step += 1
    begun = time.perf_counter()
    run.log({"loss": step}, step)
    longest = max(longest, time.perf_counter() - begun)
    if step % 500 == 0:
        time.sleep(0.01)
for _ in range(5000):
    step += 1
    run.log({"loss": step}, step)
assert len(run._recorder._rows) <= 1001, len(run._recorder._rows)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
end = time.monotonic() + 60
while run._recorder._is_stuck and time.monotonic() < end:
    time.sleep(0.02)
run.log({"loss": -1.0}, step + 1)
run.finish()
print(step)
"""


def rows_of(attempt: AttemptFolder) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for frame in read_spool(attempt.spool, limit_bytes=1 << 40):
        if frame.type == METRICS:
            block = frame.metrics()
            found += zip(block.steps, block.values[0], strict=True)
    return found


def test_on_a_full_disk_the_program_goes_on_and_is_told_what_was_left_out(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    (attempt,) = RunFolder(path).attempts()
    rows = rows_of(attempt)
    assert rows[0] == (0, 0) and rows[-1] == (int(done.stdout) + 1, -1)
    assert all(step == value for step, value in rows[:-1])
    assert [s for s, _ in rows] == sorted({s for s, _ in rows})
    told = [f.event() for f in read_spool(attempt.spool, limit_bytes=1 << 40) if f.type != METRICS]
    (words,) = (t["text"] for t in told if t["kind"] == "notice")
    assert words == f"{int(done.stdout) + 2 - len(rows)} rows were left out, as the disk was full."


def test_blocks_are_bounded_however_wide_or_long_the_rows_are() -> None:
    for names, count in (
        ([f"m{k}" for k in range(30_000)], 20),
        (["x" * 990 + str(k) for k in range(3000)], 3),
        (["a"], 10**6),
    ):
        lines = [(float(s), 0.0, 0.0, [float(s)] * len(names)) for s in range(count)]
        frames = frames_of_rows(names, lines)
        assert max(len(payload) for _, payload in frames) < 4 << 20
        assert sum(len(payload) for _, payload in frames) > 8 * count * len(names)


def test_values_are_taken_as_they_are_now() -> None:
    import numpy as np

    value = np.zeros(())
    kept = plain({"a": value, "b": np.float32(0.1), "c": True})
    value += 1
    assert numbers(list(kept.values())) == [0.0, float(np.float32(0.1)), 1.0]
    assert math.isnan(numbers([math.nan])[0])


def test_one_program_at_a_time_logs_to_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = studio.client.init("p", folder=tmp_path, offline=True)
    where = RunFolder(run.folder)
    with pytest.raises(InUse):
        where.lock("writer")
    run.finish()
    where.lock("writer").close()
