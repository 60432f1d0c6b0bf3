"""Media of programs elsewhere: files come ahead of their records, each is kept once, and only what is asked for."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from studio.core import blobs
from studio.runs.errors import StaleState
from studio.runs.external import open_attempt
from studio.runs.models import Run, State
from studio.tracking import external_media, media
from studio.tracking.external import receive
from studio.tracking.external_media import WrongFile, folder_of, missing, take_file
from studio.tracking.media import visible_media
from studio.tracking.models import Media
from tests.access.people import People
from tests.factories import SPOOL_KEY, make_external_run, make_token
from tests.tracking.test_compact_kills import in_child, killed_at
from trainer_core.events import EVENT, MEDIA, START, SpoolWriter, encode_event

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\2\0\0\0\2\x08\0\0\0\0"


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    settings.BLOBS_DIR, settings.RUNS_DIR = tmp_path / "blobs", tmp_path / "runs"
    for name in ("tracking.publish.media", "tracking.publish.metrics", "runs.publish._add"):
        monkeypatch.setattr(f"studio.{name}", lambda *args: None)


@pytest.fixture
def run() -> Run:
    run = make_external_run()
    open_attempt(run, spool=SPOOL_KEY, host={}, by="laptop-3")
    run.refresh_from_db()
    return run


def named(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def record(*files: bytes, key: str = "samples", step: int = 5) -> tuple[int, bytes]:
    items = [{"sha256": named(d), "size": len(d), "mime": "image/png", "caption": "", "meta": {}} for d in files]
    return MEDIA, json.dumps({"kind": "image", "key": key, "step": step, "at": step, "t": 1e9, "items": items}).encode()


def spool(folder: Path, *frames: tuple[int, bytes]) -> bytes:
    writer = SpoolWriter(folder / "spool")
    writer.write((EVENT, encode_event("ready", {})), *frames)
    writer.close()
    return (folder / "spool" / "seg-000001.log").read_bytes()


def notices(run: Run) -> list[str]:
    return list(run.events.filter(kind="notice").order_by("pk").values_list("text", flat=True))


def test_a_file_is_asked_for_once_and_becomes_a_row_and_a_blob(run: Run, tmp_path: Path) -> None:
    one, other = PNG + b"1", PNG + b"2"
    wanted = {named(one): len(one), named(other): len(other)}
    assert missing(run.pk, 1, wanted) == list(wanted)
    take_file(run.pk, 1, named(one), one)
    take_file(run.pk, 1, named(one), one)
    assert missing(run.pk, 1, wanted) == [named(other)]
    take_file(run.pk, 1, named(other), other)
    data = spool(tmp_path, record(one, other), record(one, key="again"))
    receive(run.pk, 1, START, data)
    receive(run.pk, 1, START, data)
    assert [(m.seq, m.key, m.sha256) for m in visible_media(run.pk)] == [
        (1, "samples", named(one)), (2, "samples", named(other)), (3, "again", named(one)),
    ]  # fmt: skip
    assert blobs.path_of(named(other)).read_bytes() == other
    assert not list(folder_of(run.pk).iterdir())
    assert missing(run.pk, 1, wanted) == [], "what the run has is not sent again"
    assert not notices(run)


def test_only_bytes_of_their_name_of_the_run_that_logs_are_taken(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    data = PNG + b"1"
    with pytest.raises(WrongFile, match="not those of the sha256"):
        take_file(run.pk, 1, named(b"other"), data)
    with pytest.raises(StaleState):
        take_file(run.pk, 2, named(data), data)
    with pytest.raises(StaleState):
        missing(run.pk, 2, {named(data): len(data)})
    monkeypatch.setattr(external_media, "MOST_WAITING_BYTES", 40)
    take_file(run.pk, 1, named(data), data)
    with pytest.raises(WrongFile, match="wait for their records"):
        take_file(run.pk, 1, named(PNG), PNG)
    monkeypatch.setattr(external_media, "MAX_MEDIA_BYTES", 10)
    with pytest.raises(WrongFile, match="at most 10"):
        take_file(run.pk, 1, named(data), data)
    other = make_external_run(run.project, state=State.RUNNING)
    receive(other.pk, 1, START, spool(tmp_path, record(data)))  # the file of another run
    assert not Media.objects.filter(run=other).exists()
    assert ["its file is not there" in text for text in notices(other)] == [True]
    assert [path.name for path in folder_of(run.pk).iterdir()] == [named(data)]


def test_what_waits_when_the_run_ends_goes(run: Run, tmp_path: Path, django_capture_on_commit_callbacks: Any) -> None:
    take_file(run.pk, 1, named(PNG), PNG)
    done = (EVENT, encode_event("done", {"outcome": "ok", "reason": "Done."}))
    with django_capture_on_commit_callbacks(execute=True):
        receive(run.pk, 1, START, spool(tmp_path, done))
    assert not folder_of(run.pk).exists()


def test_of_a_run_that_is_full_it_is_said_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST_ITEMS", 1)
    take_file(run.pk, 1, named(PNG), PNG)
    data = spool(tmp_path, record(PNG), record(PNG, step=6), record(PNG, step=7))
    at = START
    for end in range(0, len(data) + 100, 100):  # each record in a piece of its own
        at = receive(run.pk, 1, at, data[at.offset : end]).position
    assert [m.step for m in visible_media(run.pk)] == [5]
    assert len(notices(run)) == 1
    assert "at most 1" in notices(run)[0]


@pytest.mark.django_db(transaction=True)
def test_a_server_that_is_killed_anywhere_gets_each_item_once(tmp_path: Path) -> None:
    statement, killed = 0, True
    while killed:
        statement += 1
        run = make_external_run()
        open_attempt(run, spool=SPOOL_KEY, host={}, by="laptop-3")
        files = [PNG + bytes([statement, i]) for i in range(2)]
        data = spool(tmp_path / str(statement), record(*files), record(files[0], key="again"))

        def send(run: Run = run, files: list[bytes] = files, data: bytes = data) -> None:
            by_name = {named(file): file for file in files}
            for name in missing(run.pk, 1, {name: len(file) for name, file in by_name.items()}):
                take_file(run.pk, 1, name, by_name[name])
            receive(run.pk, 1, START, data)

        def work(send: Any = send, statement: int = statement) -> None:
            with connection.execute_wrapper(killed_at(statement, after=statement % 2 == 0)):
                send()

        _, status = os.waitpid(in_child(work), 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0
        send()  # as the program does when the studio is back
        assert [(m.seq, m.key) for m in visible_media(run.pk)] == [(1, "samples"), (2, "samples"), (3, "again")]
        assert all(blobs.verify(m.sha256) for m in Media.objects.filter(run=run))
        assert not notices(run)


def test_the_interface_says_what_is_missing_and_what_is_wrong(client: Client, people: People) -> None:
    run = make_external_run(people.project, state=State.RUNNING)
    headers = {"Authorization": f"Bearer {make_token(people.editor)[1]}"}
    path = f"/api/v1/external-runs/{run.pk}/media"

    def ask(**given: Any) -> Any:
        return client.post(path, given, content_type="application/json", headers=headers)

    def put(name: str, data: bytes, attempt: int = 1) -> Any:
        url = f"{path}/{name}?attempt={attempt}"
        return client.put(url, data, content_type="application/octet-stream", headers=headers)

    files = [{"sha256": named(PNG), "size": len(PNG)}]
    assert ask(attempt=1, files=files).json() == {"missing": [named(PNG)]}
    assert put(named(PNG), PNG).json() == {"sha256": named(PNG)}
    assert ask(attempt=1, files=files).json() == {"missing": []}
    wrong = put(named(b"x"), PNG)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "wrong_file")
    assert put(named(PNG), PNG, attempt=2).status_code == 409
    assert put("..%2f..%2fsecret", PNG).status_code in (404, 422)
    assert ask(attempt=1, files=[{"sha256": "../x", "size": 1}]).status_code == 422
