"""Media from a run's folder to the page that shows them: each item once, only what is what it says, never a program."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from studio.core import blobs
from studio.runs import lease
from studio.runs.models import Run, State
from studio.tracking import media
from studio.tracking.media import keys_of, visible_media
from studio.tracking.models import Media
from studio.worker.spool import SpoolReader
from tests.access.people import People
from tests.factories import make_attempt, make_media, make_run
from tests.tracking.test_compact_kills import in_child, killed_at
from trainer_core.events import MEDIA, SpoolWriter

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\2\0\0\0\2\x08\0\0\0\0"


@pytest.fixture(autouse=True)
def _no_stream(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    settings.BLOBS_DIR = tmp_path / "blobs"
    monkeypatch.setattr("studio.tracking.publish.media", lambda *args: None)
    monkeypatch.setattr("studio.tracking.publish.metrics", lambda *args: None)
    monkeypatch.setattr("studio.runs.publish._add", lambda *args: None)


@pytest.fixture
def run() -> Run:
    run = make_run(state=State.RUNNING, fence=1)
    make_attempt(run, fence=1)
    return run


def written(folder: Path, data: bytes) -> dict[str, Any]:
    (folder / "media").mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    (folder / "media" / digest).write_bytes(data)
    return {"sha256": digest, "size": len(data), "mime": "image/png", "caption": "a caption", "meta": {"width": 2}}


def frame(*items: dict[str, Any], **more: Any) -> tuple[int, bytes]:
    told = {"kind": "image", "key": "val/samples", "step": 5, "at": 5, "epoch": 0, "t": 1e9, "items": items, **more}
    return MEDIA, json.dumps(told).encode()


def take(run: Run, folder: Path, *frames: tuple[int, bytes]) -> SpoolReader:
    """Write the frames and read all of the spool that the database does not have."""
    writer = SpoolWriter(folder / "spool")
    if frames:
        writer.write(*frames)
    writer.close()
    return read(run, folder)


def read(run: Run, folder: Path) -> SpoolReader:
    reader = SpoolReader(run.attempts.get(fence=run.fence), folder, lambda event: None)
    while reader.read():
        pass
    return reader


def complaints(run: Run) -> list[str]:
    return list(run.events.filter(kind="notice").order_by("pk").values_list("text", flat=True))


def test_items_become_rows_and_blobs_and_their_files_go(run: Run, tmp_path: Path) -> None:
    first, second = written(tmp_path, PNG + b"1"), written(tmp_path, PNG + b"2")
    take(run, tmp_path, frame(first, second), frame(first, key="other", step=7))
    rows = list(visible_media(run.pk))
    assert [(m.seq, m.key, m.step, m.position) for m in rows] == [
        (1, "val/samples", 5, 0), (2, "val/samples", 5, 1), (3, "other", 7, 0),
    ]  # fmt: skip
    assert rows[0].caption == "a caption"
    assert rows[0].meta == {"width": 2}
    assert blobs.path_of(rows[1].sha256).read_bytes() == PNG + b"2"
    assert not list((tmp_path / "media").iterdir())
    assert not complaints(run)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_statement_keeps_each_item_once(run: Run, tmp_path: Path, after: bool) -> None:
    statement, killed = 0, True
    while killed:
        statement += 1
        folder = tmp_path / str(statement)
        Media.objects.all().delete()
        run.attempts.update(spool_segment=1, spool_offset=0)
        items = [written(folder, PNG + bytes([statement, i])) for i in range(2)]
        writer = SpoolWriter(folder / "spool")
        writer.write(frame(*items), frame(items[0], key="again"))
        writer.close()

        def work(statement: int = statement, folder: Path = folder) -> None:
            with connection.execute_wrapper(killed_at(statement, after=after)):
                read(run, folder)

        _, status = os.waitpid(in_child(work), 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0
        read(run, folder)
        rows = Media.objects.filter(run=run)
        assert [(m.seq, m.key) for m in rows] == [(1, "val/samples"), (2, "val/samples"), (3, "again")]
        assert all(blobs.verify(m.sha256) for m in rows)
        assert not complaints(run)
    assert statement > 10


def test_a_commit_that_was_not_heard_of_is_not_told_twice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = media.forget_files
    monkeypatch.setattr(media, "forget_files", lambda *args: (_ for _ in ()).throw(OperationalError("gone")))
    with pytest.raises(OperationalError):
        take(run, tmp_path, frame(written(tmp_path, PNG)))
    monkeypatch.setattr(media, "forget_files", real)
    reader = SpoolReader(run.attempts.get(), tmp_path, lambda event: None)
    reader.position = reader.position._replace(offset=0)  # it knows of nothing
    reader.read()
    assert Media.objects.filter(run=run).count() == 1


def test_a_full_disk_is_waited_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    item = written(tmp_path, PNG)
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put_bytes", full)
        with pytest.raises(OperationalError, match="No space left"):
            take(run, tmp_path, frame(item))
    assert not Media.objects.exists()
    read(run, tmp_path)
    assert Media.objects.count() == 1


def test_what_a_resume_abandons_is_not_shown_and_the_newest_attempt_wins(run: Run, tmp_path: Path) -> None:
    for at in (5, 10, 15):
        take(run, tmp_path, frame(written(tmp_path, PNG + bytes([at])), step=at // 5, at=at))
    run.attempts.update(valid_to_step=10)
    Run.objects.filter(pk=run.pk).update(fence=2)
    run.refresh_from_db()
    make_attempt(run, fence=2, resume_step=10)
    take(run, tmp_path / "a2", frame(written(tmp_path / "a2", PNG + b"new"), step=3, at=15))
    assert [(m.fence, m.step) for m in visible_media(run.pk)] == [(1, 1), (1, 2), (2, 3)]
    assert [(row["key"], row["steps"]) for row in keys_of(run.pk)] == [("val/samples", 3)]


def test_limits_of_a_run_are_told_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST_ITEMS", 3)
    items = [written(tmp_path, PNG + bytes([i])) for i in range(6)]
    take(run, tmp_path, *[frame(item, step=i) for i, item in enumerate(items)])
    assert Media.objects.count() == 3
    (said,) = complaints(run)
    assert "at most 3 and 2,048 MB are kept of one run" in said
    monkeypatch.setattr(media, "MOST_BYTES", 50)
    monkeypatch.setattr(media, "MOST_ITEMS", 100)
    take(run, tmp_path, frame(written(tmp_path, PNG + b"more"), step=9))
    assert Media.objects.count() == 3


def hostile(tmp_path: Path) -> dict[str, tuple[int, bytes]]:
    good = written(tmp_path, PNG + b"good")
    svg = written(tmp_path, b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    secret = tmp_path / "secret"
    secret.write_bytes(PNG + b"secret")
    through = hashlib.sha256(secret.read_bytes()).hexdigest()
    (tmp_path / "media" / through).symlink_to(secret)
    other, _ = blobs.put_bytes(PNG + b"of somebody else")
    changed = written(tmp_path, PNG + b"before")
    (tmp_path / "media" / changed["sha256"]).write_bytes(PNG + b"after.")
    large = written(tmp_path, PNG[:16] + b"\x7f\0\0\0" * 2)
    os.mkfifo(tmp_path / "media" / ("a" * 64))
    return {
        "svg that says png": frame(svg),
        "svg": frame({**svg, "mime": "image/svg+xml"}),
        "html": frame({**svg, "mime": "text/html"}, kind="text"),
        "through a link": frame({**good, "sha256": through, "size": len(PNG) + 6}),
        "blob of others": frame({**good, "sha256": other, "size": len(PNG) + 16}),
        "path": frame({**good, "sha256": "../../secret"}),
        "changed file": frame(changed),
        "fifo": frame({**good, "sha256": "a" * 64}),
        "wrong size": frame({**good, "size": 5}),
        "beyond all sizes": frame({**good, "size": 1 << 40}),
        "a bomb": frame(large),
        "no kind": frame(good, kind="program"),
        "no key": frame(good, key=""),
        "long key": frame(good, key="k" * 1001),
        "step": frame(good, step=2**63),
        "nan": frame(good, epoch="nan"),
        "facts": frame({**good, "meta": {"x": "y" * 5000}}),
        "no items": frame(),
        "no object": (MEDIA, b"[]"),
        "no json": (MEDIA, b"\xff"),
        "json that is none": frame({**written(tmp_path, b"[1]"), "mime": "application/json"}, kind="table"),
    }


def test_what_is_not_what_it_says_is_left_out_and_told(run: Run, tmp_path: Path) -> None:
    frames = hostile(tmp_path)
    for name, bad in frames.items():
        before = len(complaints(run))
        take(run, tmp_path, bad)
        assert not Media.objects.exists(), name
        assert len(complaints(run)) == before + 1, name
    take(run, tmp_path, frame(written(tmp_path, PNG + b"good")))
    assert Media.objects.count() == 1
    assert (tmp_path / "secret").exists()


@pytest.fixture
def viewer(people: People) -> Client:
    return people.client("viewer")


def test_files_are_served_as_their_type_and_can_run_nothing(people: People, viewer: Client) -> None:
    shown = make_media(
        make_run(people.project, state=State.RUNNING), b"RIFF\0\0\0\0WAVE" + b"x" * 100, kind="audio", mime="audio/wav"
    )
    url = reverse("run-media-file", args=[shown.run_id, shown.seq])
    response = viewer.get(url)
    assert response["Content-Type"] == "audio/wav"
    assert response["Content-Disposition"].startswith("inline")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert "immutable" in response["Cache-Control"] and "private" in response["Cache-Control"]
    assert viewer.get(url, headers={"If-None-Match": response["ETag"]}).status_code == 304
    part = viewer.get(url, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part["Content-Range"]) == (206, "bytes 0-3/112")
    saved = viewer.get(f"{url}?download=1")
    assert saved["Content-Type"] == "application/octet-stream"
    assert saved["Content-Disposition"].startswith("attachment")
    assert viewer.get(reverse("run-media-file", args=[shown.run_id, 99])).status_code == 404
    blobs.path_of(shown.sha256).unlink()
    assert viewer.get(url).status_code == 404


def test_a_table_is_a_csv_file_without_formulas(people: People, viewer: Client) -> None:
    table = {"columns": ["name", "n"], "rows": [["=1+1", 2], ['ü,"x', None]], "total": 2}
    made = make_media(make_run(people.project), json.dumps(table).encode(), kind="table", mime="application/json")
    response = viewer.get(reverse("run-media-file", args=[made.run_id, made.seq]) + "?csv=1")
    text = b"".join(response.streaming_content).decode()
    assert text.splitlines() == ["name,n", "'=1+1,2", '"ü,""x",']
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_page_asks_by_its_cursor_and_gets_a_bounded_answer(
    people: People, viewer: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr("studio.tracking.media_views.AN_ANSWER", 4)
    run = make_run(people.project, state=State.RUNNING)
    for i in range(6):
        make_media(run, PNG + bytes([i]), step=i)
    url = reverse("run-media-items", args=[run.pk])
    with django_assert_max_num_queries(10):
        first = viewer.get(url).json()
    assert (len(first["items"]), first["cursor"], first["more"]) == (4, 4, True)
    rest = viewer.get(url, {"after": 4}).json()
    assert ([m["step"] for m in rest["items"]], rest["cursor"], rest["more"]) == ([4, 5], 6, False)
    assert viewer.get(url, {"after": 6}).json()["items"] == []
    assert "allowed is a whole number" in viewer.get(url, {"after": "-1"}).json()["error"]["message"]


def test_the_page_costs_few_queries_and_has_a_limit(
    people: People, viewer: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr("studio.tracking.media_views.A_PAGE", 3)
    run = make_run(people.project, state=State.RUNNING)
    keys = ["a", "ü 漢字", "<script>alert(1)</script>", "k" * 1000, "z"]
    for key in keys:
        make_media(run, PNG, key=key)
    url = reverse("run-media", args=[run.pk])
    with django_assert_max_num_queries(20):
        html = viewer.get(url).content.decode()
    assert html.count("<img") == 3
    assert "<script>alert(1)" not in html
    assert viewer.get(url, {"page": 2}).content.decode().count("<img") == 2
    assert viewer.get(url, {"q": "漢"}).content.decode().count("<img") == 1


def test_a_run_without_media_says_how_to_make_some(people: People, viewer: Client) -> None:
    html = viewer.get(reverse("run-media", args=[make_run(people.project).pk])).content.decode()
    assert "self.logger.log_image" in html


def test_what_the_engine_logs_arrives(run: Run, tmp_path: Path) -> None:
    from trainer_core.loggers.spool import SpoolLogger

    logger = SpoolLogger(SpoolWriter(tmp_path / "spool"))
    logger.log_image("images", [np.zeros((4, 4)), np.full((4, 4), np.nan)], caption=["black", "nothing"])
    logger.log_audio("sound", np.zeros(100), 8000)
    logger.log_table("table", ["a"], [[1]])
    logger.log_text("ü" * 1000, "hello\0")
    logger.log_histogram("numbers", np.arange(10))
    logger.log_confusion_matrix("matrix", [[1, 2], [3, 4]])
    logger.close()
    read(run, tmp_path)
    assert not complaints(run)
    assert [(m.kind, m.caption) for m in visible_media(run.pk)] == [
        ("image", "black"), ("image", "nothing"), ("audio", ""), ("table", ""), ("text", ""), ("histogram", ""), ("matrix", ""),
    ]  # fmt: skip
    assert Media.objects.get(caption="nothing").meta["nonfinite"] == 16


def test_a_superseded_attempt_keeps_nothing(run: Run, tmp_path: Path) -> None:
    item = written(tmp_path, PNG)
    attempt = run.attempts.get()
    writer = SpoolWriter(tmp_path / "spool")
    writer.write(frame(item))
    Run.objects.filter(pk=run.pk).update(fence=2)
    with pytest.raises(lease.StaleState):
        SpoolReader(attempt, tmp_path, lambda event: None).read()
    assert not Media.objects.exists()
