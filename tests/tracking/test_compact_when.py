"""When frames are compacted: not the newest of a run that goes on, all of one that ended, each run for itself."""

from __future__ import annotations

import pytest

from studio.runs.models import Run, State
from studio.tracking import compact
from studio.tracking.ingest import ingest
from studio.tracking.models import MetricFrame
from studio.tracking.query import series
from studio.tracking.stored import fence_of, frames_after
from tests.factories import make_run
from tests.tracking.test_compact import _no_stream, run
from trainer_core.events import MetricBlock, Position

__all__ = ["_no_stream", "run"]


def ticks(first: int, last: int) -> list[MetricBlock]:
    return [MetricBlock.from_rows(["loss"], [(s, 0.0, 1e9 + s, [s * 1.0])]) for s in range(first, last + 1)]


def test_a_run_that_goes_on_keeps_its_newest_frames_and_one_that_ended_none(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "KEEP_FRAMES", 10)
    monkeypatch.setattr(compact, "WAIT_FRAMES", 20)
    ingest(run.pk, 1, ticks(1, 30), Position(1, 1))
    compact.compact_waiting()
    assert MetricFrame.objects.filter(run=run).count() == 30
    ingest(run.pk, 1, ticks(31, 31), Position(1, 2))
    compact.compact_waiting()
    assert list(MetricFrame.objects.filter(run=run).values_list("seq", flat=True)) == list(range(22, 32))
    ingest(run.pk, 1, ticks(32, 33), Position(1, 3))
    assert [f.seq for f in frames_after(run.pk, 21) or []] == list(range(22, 34))
    assert frames_after(run.pk, 20) is None
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)
    for _ in range(2):
        compact.compact_waiting()
        assert not MetricFrame.objects.exists()
        assert series([run.pk])["runs"][0]["series"][0]["x"] == list(range(1, 34))
    assert fence_of(run.pk, 33) == 1


def test_of_a_run_with_very_many_metrics_few_frames_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(ticks(1, 1)[0].columns())
    monkeypatch.setattr(compact, "WAIT_BYTES", 40 * size)
    ingest(run.pk, 1, ticks(1, 40), Position(1, 1))
    compact.compact_waiting()
    assert MetricFrame.objects.filter(run=run).count() == 40
    ingest(run.pk, 1, ticks(41, 41), Position(1, 2))
    compact.compact_waiting()
    assert list(MetricFrame.objects.filter(run=run).values_list("seq", flat=True)) == list(range(22, 42))
    assert series([run.pk])["runs"][0]["series"][0]["x"] == list(range(1, 42))


def test_a_run_that_cannot_be_compacted_does_not_stop_the_others(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    ended = [make_run(state=State.SUCCEEDED, last_seq=1) for _ in range(2)]
    for one, data in zip(ended, (b"too short", ticks(1, 1)[0].columns()), strict=True):
        MetricFrame.objects.create(run=one, fence=1, seq=1, step0=1, step1=1, n=1, names=["loss"], data=data)
    compact.compact_waiting()
    assert list(MetricFrame.objects.values_list("run_id", flat=True)) == [ended[0].pk]
    assert "were not compacted" in caplog.text


def test_the_scheduler_compacts() -> None:
    from django.conf import settings as product

    assert "studio.tracking.compact.compact_waiting" in [name for _, name in product.SCHEDULED]
