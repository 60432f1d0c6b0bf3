"""Logs come back whole, in order, from any place; what is cut says so."""

import pytest

from studio.runs.errors import StaleState
from studio.runs.models import Run, State
from studio.tracking import logs
from studio.tracking.logs import append_log, read_log, whole_log
from tests.factories import make_attempt, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run_pk(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("studio.tracking.publish.log_text", lambda *args: None)
    run = make_run(state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    return run.pk


def test_a_log_comes_back_from_any_place(run_pk: int) -> None:
    data = b"".join(b"line %d\n" % i for i in range(1000))
    at = 0
    for size in (1, 7, 500, 4000, len(data)):
        append_log(run_pk, 1, at, data[at : at + size])
        at += len(data[at : at + size])
    assert read_log(run_pk).text.encode() == data
    for offset in (0, 1, 499, 5000, len(data)):
        got = read_log(run_pk, offset=offset, limit=100)
        assert got.text.encode() == data[offset : offset + 100]
        assert got.end == offset + len(got.text)
    assert b"".join(whole_log(run_pk, 1)) == data


def test_an_attempt_that_does_not_hold_the_run_appends_nothing(run_pk: int) -> None:
    Run.objects.filter(pk=run_pk).update(state=State.QUEUED)
    with pytest.raises(StaleState):
        append_log(run_pk, 1, 0, b"late\n")
    assert read_log(run_pk).size == 0


def test_a_replay_and_a_gap_change_nothing(run_pk: int) -> None:
    append_log(run_pk, 1, 0, b"one\n")
    append_log(run_pk, 1, 0, b"one\n")
    append_log(run_pk, 1, 9, b"late\n")
    assert read_log(run_pk).text == "one\n"


def test_bytes_that_are_no_text_are_shown_and_counted_right(run_pk: int) -> None:
    append_log(run_pk, 1, 0, b"\xff\xfe\x00ok\n")
    got = read_log(run_pk)
    assert got.text.endswith("ok\n")
    assert got.end == 6


def test_the_middle_of_a_very_long_log_is_left_out_and_says_so(run_pk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "HEAD_BYTES", 100)
    monkeypatch.setattr(logs, "TAIL_BYTES", 100)
    for i in range(50):
        append_log(run_pk, 1, i * 20, b"%019d\n" % i)
    text = read_log(run_pk, offset=0).text
    assert text.startswith(f"{0:019d}")
    assert text.rstrip().endswith(f"{49:019d}")
    assert "bytes are not kept" in text
