"""Downloads of what the object store alone has: begun at once, verified by their end, in ranges, and kept when they are right."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.test import AsyncRequestFactory
from django.urls import reverse

from studio.core import blobs, download, stored_files
from studio.core.download import BrokenOff, stream_file
from studio.core.objects import ObjectDamaged, ObjectStore
from studio.core.stored_files import StoredFile
from studio.core.stores import StoreError
from studio.runs import checkpoints
from studio.runs.downloads import source_of, source_of_made
from studio.runs.models import Checkpoint, CheckpointFile, State
from studio.runs.shared_checkpoints import PARTIAL, send_made, send_waiting
from tests.access.people import People
from tests.factories import make_run, make_token, write_checkpoint
from tests.objects import Bucket, Machines, bucket, machines
from tests.runs.test_shared_checkpoints import files_of

__all__ = ["bucket", "machines"]
pytestmark = pytest.mark.django_db(transaction=True)
DATA = os.urandom(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small file is a large one."""
    monkeypatch.setattr("studio.core.blobs.SMALL_BYTES", 1000)
    monkeypatch.setattr("studio.runs.downloads.SMALL_BYTES", 1000)
    monkeypatch.setattr(stored_files, "FIRST_BYTES", 10_000)
    monkeypatch.setattr(stored_files, "PIECE_BYTES", 50_000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """The pieces that the store was asked for: last part of the key, from where to where."""
    found: list[tuple[str, int, int]] = []
    real = ObjectStore.piece

    def piece(store: ObjectStore, key: str, start: int, end: int, *, is_first: bool) -> bytes:
        found.append((key.rpartition("/")[2], start, end))
        return real(store, key, start, end, is_first=is_first)

    monkeypatch.setattr(ObjectStore, "piece", piece)
    return found


@pytest.fixture
def checkpoint(people: People, machines: Machines) -> Checkpoint:
    """One that a worker wrote and sent; this machine is another."""
    machines.on("worker")
    row = write_checkpoint(make_run(people.project, state=State.SUCCEEDED), DATA)
    assert send_waiting() == 1
    row.refresh_from_db()
    machines.on("web")
    return row


def key_of(row: Checkpoint, name: str = "checkpoint.ckpt") -> str:
    return f"runs/{row.run_id}/checkpoints/{row.name}/{name}"


def ask(source: Any, still: Callable[[], bool] | None = None, **headers: str) -> HttpResponseBase:
    request = AsyncRequestFactory().get("/", headers={k.replace("_", "-"): v for k, v in headers.items()})
    return stream_file(request, source, "a.ckpt", still=still)


def body(response: Any, got: list[bytes] | None = None) -> bytes:
    got = [] if got is None else got

    async def collect() -> None:
        async for piece in response:
            got.append(piece)

    try:
        asyncio.run(collect())
    finally:
        response.close()
    return b"".join(got)


def nothing_is_half_there(row: Checkpoint) -> bool:
    top = Path(checkpoints.folder_of(row.run_id))
    return not list(top.rglob(f"{PARTIAL}*")) if top.exists() else True


def test_it_begins_with_the_first_bytes_and_leaves_a_verified_copy(
    checkpoint: Checkpoint, machines: Machines, asked: list[Any]
) -> None:
    response = ask(source_of(checkpoint))
    assert asked == [("checkpoint.ckpt", 0, 10_000)], "no more is read before the answer begins"
    assert response["ETag"] == f'"{DIGEST}"'
    assert response["Content-Length"] == str(len(DATA))
    assert body(response) == DATA
    assert [start for _, start, _ in asked] == [0, *range(10_000, 300_000, 50_000)]
    assert files_of(machines.on("web")) == [key_of(checkpoint), key_of(checkpoint, "manifest.json")]
    assert source_of(checkpoint) == checkpoints.path_of(checkpoint)
    assert checkpoints.path_of(checkpoint).read_bytes() == DATA
    assert nothing_is_half_there(checkpoint)


@pytest.mark.parametrize(("wanted", "start", "end"), [("100000-100099", 100_000, 100_100), ("-10", 299_990, 300_000)])
def test_a_range_reads_that_piece_alone(
    checkpoint: Checkpoint, machines: Machines, asked: list[Any], wanted: str, start: int, end: int
) -> None:
    response = ask(source_of(checkpoint), Range=f"bytes={wanted}")
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {start}-{end - 1}/300000"
    assert body(response) == DATA[start:end]
    assert asked == [("checkpoint.ckpt", start, end)]
    assert files_of(machines.on("web")) == []


def test_what_needs_no_bytes_asks_for_none(checkpoint: Checkpoint, asked: list[Any]) -> None:
    source = source_of(checkpoint)
    assert ask(source, If_None_Match=f'"{DIGEST}"').status_code == 304
    assert ask(source, Range="bytes=300000-").status_code == 416
    assert stream_file(AsyncRequestFactory().head("/"), source, "a", still=None)["Content-Length"] == "300000"
    assert asked == []


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"X", b"X" + DATA[1:]], ids=["last byte", "first byte"])
def test_wrong_bytes_are_never_given_whole_nor_kept(
    checkpoint: Checkpoint, machines: Machines, bucket: Bucket, wrong: bytes
) -> None:
    wrong = wrong[:-1] + bytes([wrong[-1] ^ 1])
    bucket.put(key_of(checkpoint), wrong)
    got: list[bytes] = []
    with pytest.raises(BrokenOff) as broken:
        body(ask(source_of(checkpoint)), got)
    assert isinstance(broken.value.__cause__, ObjectDamaged)
    assert 0 < len(b"".join(got)) < len(DATA)
    assert not checkpoints.path_of(checkpoint).exists()
    assert nothing_is_half_there(checkpoint)
    # Who goes on from there must not get the end, with which what they have would look like all of it.
    with pytest.raises(ObjectDamaged, match="other bytes"):
        ask(source_of(checkpoint), Range=f"bytes={len(b''.join(got))}-")
    bucket.put(key_of(checkpoint), DATA)
    assert body(ask(source_of(checkpoint))) == DATA
    checkpoints.path_of(checkpoint).rename(machines.on("web") / "away")
    assert body(ask(source_of(checkpoint), Range="bytes=5-")) == DATA[5:], "it was right since"


@pytest.mark.parametrize("wrong", [DATA[:200_000], b""], ids=["short", "empty"])
def test_a_short_object_breaks_it_off(checkpoint: Checkpoint, bucket: Bucket, wrong: bytes) -> None:
    bucket.put(key_of(checkpoint), wrong)
    got: list[bytes] = []
    with pytest.raises((BrokenOff, StoreError)):
        body(ask(source_of(checkpoint)), got)
    assert len(b"".join(got)) < len(DATA)
    assert not checkpoints.path_of(checkpoint).exists()
    assert nothing_is_half_there(checkpoint)


def test_a_manifest_that_was_not_committed_is_not_believed(checkpoint: Checkpoint, bucket: Bucket) -> None:
    bucket.put(key_of(checkpoint, "manifest.json"), b'{"files": {}}')
    with pytest.raises(ObjectDamaged, match="not the one that was committed"):
        source_of(checkpoint)


class Wire:
    """What a server of the kind of daphne's has of an answer."""

    def __init__(self) -> None:
        self.channel: Any = type("Channel", (), {"transport": self})()
        self.sent: list[bytes] = []
        self.is_aborted = self.is_ended = False

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None:
        raise AssertionError("what is in the buffer would look like all of it")

    def abortConnection(self) -> None:
        self.is_aborted = True


async def handle(wire: Wire, message: Any) -> None:
    if message["type"] == "http.response.body":
        wire.sent.append(message.get("body", b""))
        wire.is_ended = not message.get("more_body")


@pytest.mark.parametrize("is_right", [True, False])
def test_a_reader_sees_a_broken_connection_in_place_of_wrong_bytes(
    checkpoint: Checkpoint, people: People, bucket: Bucket, is_right: bool
) -> None:
    """Through the whole application, as a server calls it."""
    from functools import partial

    from studio.asgi import application

    if not is_right:
        bucket.put(key_of(checkpoint), DATA[:-1] + bytes([DATA[-1] ^ 1]))
    _, token = make_token(people.viewer)
    scope = AsyncRequestFactory()._base_scope(path=f"/api/v1/checkpoints/{checkpoint.pk}/download")
    scope |= {"type": "http", "method": "GET", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    scope["headers"].append((b"host", b"testserver"))
    wire = Wire()

    async def request() -> None:
        waits = asyncio.Event()
        begun = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            if message := next(begun, None):
                return message
            return await waits.wait()

        await application(scope, receive, partial(handle, wire))

    asyncio.run(request())
    assert (b"".join(wire.sent) == DATA, wire.is_ended, wire.is_aborted) == (is_right, is_right, not is_right)
    assert sum(map(len, wire.sent)) >= 200_000
    assert nothing_is_half_there(checkpoint) and stored_files._copying == set()


def test_who_may_not_read_any_more_is_broken_off(
    checkpoint: Checkpoint, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(download, "_readers", ThreadPoolExecutor(1))
    answers = iter([True, True, False])
    got: list[bytes] = []
    with pytest.raises(BrokenOff):
        body(ask(source_of(checkpoint), lambda: next(answers)), got)
    assert [len(piece) for piece in got] == [10_000, 50_000]
    download._readers.submit(lambda: None).result()  # the piece that was being read
    assert files_of(machines.on("web")) == []
    assert stored_files._copying == set()


def test_who_goes_away_leaves_nothing_and_the_next_one_copies(checkpoint: Checkpoint) -> None:
    response: Any = ask(source_of(checkpoint))
    other: Any = ask(source_of(checkpoint))
    assert len(list(Path(checkpoints.folder_of(checkpoint.run_id)).glob(f"{PARTIAL}*"))) == 1, "one copy at a time"
    response.close()
    response.close()
    assert nothing_is_half_there(checkpoint)
    assert body(other) == DATA
    assert not checkpoints.path_of(checkpoint).exists()
    assert body(ask(source_of(checkpoint))) == DATA
    assert checkpoints.path_of(checkpoint).read_bytes() == DATA


def test_one_that_ends_while_a_piece_is_read_is_tidied_after_it(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = source_of(checkpoint).reading(0, len(DATA))  # type: ignore[union-attr]
    reading.next_piece()
    real = ObjectStore.piece

    def piece(store: ObjectStore, *given: Any, **options: Any) -> bytes:
        reading.close()
        assert not nothing_is_half_there(checkpoint), "it is in use"
        return real(store, *given, **options)

    monkeypatch.setattr(ObjectStore, "piece", piece)
    reading.next_piece()
    assert nothing_is_half_there(checkpoint)
    assert reading.next_piece() == b""


@pytest.mark.parametrize("limit", ["cache", "room", "disk"])
def test_a_machine_without_room_sends_it_all_the_same(
    checkpoint: Checkpoint, machines: Machines, settings: Any, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    if limit == "cache":
        settings.CACHE_BYTES = 200_000
    elif limit == "room":
        monkeypatch.setattr(stored_files, "FREE_MARGIN_BYTES", 1 << 60)
    else:
        monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert body(ask(source_of(checkpoint))) == DATA
    assert files_of(machines.on("web")) == []
    assert stored_files._copying == set()


def test_a_store_that_is_away_answers_503_and_in_the_middle_breaks_off(
    checkpoint: Checkpoint, people: People, bucket: Bucket
) -> None:
    source = source_of(checkpoint)
    begun, got = ask(source), list[bytes]()
    with bucket.away():
        with pytest.raises(BrokenOff):
            body(begun, got)
        assert len(b"".join(got)) == 10_000
        response = people.client("viewer").get(reverse("checkpoint-download", args=[checkpoint.pk]))
        assert response.status_code == 503
    assert nothing_is_half_there(checkpoint)
    assert body(ask(source)) == DATA


def test_a_file_made_of_it_is_streamed_and_both_are_kept(checkpoint: Checkpoint, machines: Machines) -> None:
    machines.on("worker")
    pack = os.urandom(20_000)
    sha256 = hashlib.sha256(pack).hexdigest()
    (checkpoints.path_of(checkpoint).with_name(f"{sha256}.zip")).write_bytes(pack)
    made = CheckpointFile.objects.create(
        project=checkpoint.run.project, checkpoint=checkpoint, kind="pack", sha256=sha256, size_bytes=len(pack)
    )
    send_made(checkpoint, checkpoints.path_of(checkpoint).with_name(f"{sha256}.zip"))
    folder = machines.on("web")
    assert isinstance(source_of_made(made), StoredFile)
    assert body(ask(source_of_made(made))) == pack
    assert body(ask(source_of(checkpoint))) == DATA
    names = ["checkpoint.ckpt", f"{sha256}.zip", "manifest.json"]
    assert files_of(folder) == sorted(key_of(checkpoint, name) for name in names)
    assert not isinstance(source_of_made(made), StoredFile)


def test_a_run_gets_a_checkpoint_beside_a_file_made_of_it(checkpoint: Checkpoint, machines: Machines) -> None:
    folder = checkpoints.path_of(checkpoint).parent
    folder.mkdir(parents=True)
    (folder / "made.zip").write_bytes(b"zip")
    assert checkpoints.bring(checkpoint).read_bytes() == DATA
    assert nothing_is_half_there(checkpoint)


def test_a_blob_is_streamed_and_kept(machines: Machines, asked: list[Any]) -> None:
    machines.on("worker")
    sha256, _ = blobs.put_bytes(DATA)
    small, _ = blobs.put_bytes(b"few")
    folder = machines.on("web")
    assert blobs.source(small) == blobs.path_of(small)
    assert asked == []
    source = blobs.source(sha256)
    assert isinstance(source, StoredFile)
    assert body(ask(source)) == DATA
    assert blobs.source(sha256) == blobs.path_of(sha256)
    assert blobs.verify(sha256)
    assert not list(folder.glob("blobs/.tmp/*"))
