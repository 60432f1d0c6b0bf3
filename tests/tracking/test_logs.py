"""Logs come back whole, in order, from any place; what is cut says so."""

import html
import re

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from studio.runs.errors import StaleState
from studio.runs.models import Run, State
from studio.tracking import log_search, logs
from studio.tracking.log_search import Query, search_log
from studio.tracking.logs import append_log, read_log, whole_log
from studio.tracking.views import run_log_text
from tests.factories import make_attempt, make_member, make_run, make_user

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


LINES = [
    b"epoch 1 loss 0.5\n", b"\x1b[31mERROR\x1b[0m: disk\n", b"[rank3]: W 10 slow\n", b"10%\r20%\r100% done\n", b"\n",
    b"UserWarning: careful\n", "Потеря 0.1 é\n".encode(), b"[rank30]: ValueError: no\n", b"a < b & c\n",
]  # fmt: skip


def fill(run_pk: int, data: bytes, cuts: list[int]) -> None:
    ends = [*sorted({c % (len(data) + 1) for c in cuts} - {0, len(data)}), len(data)]
    at = 0
    for end in ends:
        append_log(run_pk, 1, at, data[at:end])
        at = end


def found_in(run_pk: int, query: Query) -> list[tuple[int, str]]:
    """All of them, asking again for what is older."""
    lines, before = [], None
    while True:
        found = search_log(run_pk, 1, query, before)
        lines += [(line.offset, line.text) for line in found.lines]
        if found.before is None:
            return lines
        assert before is None or found.before < before
        before = found.before


@pytest.mark.parametrize("most", [200, 3, 1])
@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (Query("LOSS"), ["epoch 1 loss 0.5"]),
        (Query("error: d"), ["ERROR: disk"]),
        (Query("20%"), []),
        (Query("100%"), ["100% done"]),
        (Query("Потеря 0.1 é"), ["Потеря 0.1 é"]),
        (Query(level="error"), ["ERROR: disk", "[rank30]: ValueError: no"]),
        (Query(level="warning"), ["ERROR: disk", "UserWarning: careful", "[rank30]: ValueError: no"]),
        (Query(rank=3), ["[rank3]: W 10 slow"]),
        (Query("no", "error", 30), ["[rank30]: ValueError: no"]),
    ],
)
def test_lines_are_found_wherever_pieces_are_cut(
    run_pk: int, monkeypatch: pytest.MonkeyPatch, query: Query, wanted: list[str], most: int
) -> None:
    monkeypatch.setattr(log_search, "MOST_FOUND", most)
    monkeypatch.setattr(log_search, "MOST_SCANNED_BYTES", 150)
    data = b"".join(LINES * 5)
    fill(run_pk, data, [7 * i for i in range(1, 60)] + [data.find(b"Error") + 2, data.find(b"disk")])
    found = found_in(run_pk, query)
    assert [text for _, text in found] == (wanted * 5)[::-1]
    for offset, text in found:
        assert offset == 0 or data[offset - 1 : offset] == b"\n"
        assert text[-4:].encode() in data[offset:].split(b"\n")[0]


def test_the_page_finds_lines_and_shows_the_log_around_one(run_pk: int, client: Client) -> None:
    run = Run.objects.get(pk=run_pk)
    user = make_user()
    make_member(run.project.team, user)
    client.force_login(user)
    data = b"".join(b"line %d <b>\n" % i for i in range(60_000))
    fill(run_pk, data, list(range(50_000, len(data), 50_000)))
    page = client.get(reverse("run-logs", args=[run_pk]), {"q": "LINE 123 <b>", "attempt": "1"}).content.decode()
    assert "1 line, the newest first" in page
    (place,) = re.findall(r'href="\?([^"]*at=\d+)#place">line 123 &lt;b&gt;</a>', page)
    around = client.get(reverse("run-logs", args=[run_pk]) + "?" + html.unescape(place)).content.decode()
    shown = around[around.index("data-log-text>") :]
    assert 'line 122 &lt;b&gt;\n<mark id="place">line 123 &lt;b&gt;\n</mark>line 124' in shown
    assert "log-found" not in around
    assert "Lines found" in around
    assert "line 59999" not in shown
    assert "line 59999" in page
    wrong = client.get(reverse("run-logs", args=[run_pk]), {"rank": "-1"})
    assert wrong.status_code == 200
    assert "rank: Ensure this value is greater than or equal to 0." in wrong.content.decode()


def test_a_download_is_made_while_it_is_sent(run_pk: int, client: Client) -> None:
    run = Run.objects.get(pk=run_pk)
    user = make_user()
    make_member(run.project.team, user)
    client.force_login(user)
    data = b"".join(b"line %d\n" % i for i in range(10_000))
    fill(run_pk, data, list(range(1000, len(data), 1000)))
    request = RequestFactory().get("/", {"download": "1"})
    request.user = user
    answer = run_log_text(request, run_pk)
    assert isinstance(answer, StreamingHttpResponse)
    assert answer.is_async  # the server would read what is not into memory before it sends any of it

    async def read() -> bytes:
        return b"".join([part async for part in answer])

    assert async_to_sync(read)() == data
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run.number}-attempt-1.log"'


def test_the_end_of_a_long_log_costs_only_its_own_pieces(run_pk: int) -> None:
    fill(run_pk, b"0123456789\n" * 10_000, list(range(1000, 110_000, 1000)))
    with CaptureQueriesContext(connection) as queries:
        assert read_log(run_pk, 1, limit=2000).text.endswith("0123456789\n")
    assert len(queries) <= 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (" + queries[-1]["sql"] + ") AS pieces")
        assert cursor.fetchone()[0] <= 4
