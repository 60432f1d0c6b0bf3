"""Checkpoints in an object store: sent by the machine that wrote them, whole on every other one or not there, gone when let go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.core.objects import ObjectDamaged, ObjectStore
from studio.core.stores import StoreError
from studio.runs import chains, checkpoints, shared_checkpoints
from studio.runs.errors import NotYet
from studio.runs.models import Checkpoint, CheckpointFile, Run, State
from studio.runs.shared_checkpoints import remove_due, send_waiting, waiting
from studio.runs.starts import start_of
from studio.storage import cache, disk, let_go, trash
from tests.access.people import People
from tests.factories import make_attempt, make_run, write_checkpoint
from tests.objects import Bucket, Machines, bucket, machines
from tests.storage.files import make_old

__all__ = ["bucket", "machines"]
pytestmark = pytest.mark.django_db(transaction=True)
WEIGHTS = bytes(range(256)) * 40


def sent(run: Run, data: bytes = WEIGHTS, **fields: Any) -> Checkpoint:
    """One that a worker wrote and sent."""
    row = write_checkpoint(run, data, **fields)
    assert send_waiting() == 1
    row.refresh_from_db()
    return row


def files_of(top: Path) -> list[str]:
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())


@pytest.fixture
def run(people: People) -> Run:
    return make_run(people.project, state=State.SUCCEEDED)


def test_it_is_sent_once_with_its_manifest_last_and_is_the_same_elsewhere(
    run: Run, machines: Machines, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    real = ObjectStore.put
    monkeypatch.setattr(ObjectStore, "put", lambda store, key, path: (put.append(key), real(store, key, path))[1])
    machines.on("worker")
    row = write_checkpoint(run, WEIGHTS)
    assert [one.pk for one in waiting()] == [row.pk]
    assert (send_waiting(), send_waiting(), list(waiting())) == (1, 0, [])
    prefix = f"runs/{run.pk}/checkpoints/{row.name}/"
    assert put == [prefix + "checkpoint.ckpt", prefix + "manifest.json"]
    row.refresh_from_db()
    assert bucket.get(prefix + "checkpoint.ckpt") == WEIGHTS
    assert sum(bucket.sizes().values()) == row.size_bytes + row.manifest_bytes
    folder = machines.on("web")
    assert (checkpoints.is_there(row), shared_checkpoints.is_here(row)) == (True, False)
    manifest = json.loads(bucket.get(prefix + "manifest.json"))
    assert checkpoints.sha256_of(row) == manifest["files"]["checkpoint.ckpt"]["sha256"], (
        "without a file on this machine"
    )
    assert files_of(folder) == []
    assert checkpoints.bring(row).read_bytes() == WEIGHTS
    assert files_of(folder) == [prefix + "checkpoint.ckpt", prefix + "manifest.json"]
    assert shared_checkpoints.whole_here(row)
    assert disk.differences() == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("checkpoint.ckpt", WEIGHTS[:-200]),
        ("checkpoint.ckpt", WEIGHTS[:-1] + b"X"),
        ("checkpoint.ckpt", b""),
        ("checkpoint.ckpt", None),
        ("manifest.json", b""),
        ("manifest.json", b'{"files": {}}'),
        ("manifest.json", None),
    ],
    ids="short flipped empty missing no-manifest other-manifest missing-manifest".split(),
)
def test_damaged_objects_are_never_taken_for_a_checkpoint(
    run: Run, machines: Machines, bucket: Bucket, name: str, wrong: bytes | None
) -> None:
    row = sent(run)
    key = f"runs/{run.pk}/checkpoints/{row.name}/{name}"
    right = bucket.get(key)
    bucket.delete(key) if wrong is None else bucket.put(key, wrong)
    folder = machines.on("another")
    with pytest.raises(StoreError):
        checkpoints.bring(row)
    assert files_of(folder) == []
    bucket.put(key, right)
    assert checkpoints.bring(row).read_bytes() == WEIGHTS


def test_a_copy_that_rots_on_a_machine_is_fetched_anew_before_a_run_goes_on_from_it(
    run: Run, machines: Machines, bucket: Bucket
) -> None:
    row = sent(run)
    checkpoints.path_of(row).write_bytes(WEIGHTS[:-1] + b"X")
    assert not shared_checkpoints.whole_here(row)
    assert checkpoints.bring(row).read_bytes() == WEIGHTS
    assert shared_checkpoints.whole_here(row)


def test_what_is_not_what_was_committed_is_not_sent(run: Run, machines: Machines, bucket: Bucket) -> None:
    row = write_checkpoint(run, WEIGHTS)
    manifest = checkpoints.path_of(row).with_name("manifest.json")
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(ObjectDamaged):
        shared_checkpoints.send(row)
    good = write_checkpoint(run, WEIGHTS, step=200)
    assert send_waiting() == 1, "and does not hold up others"
    assert {key.split("/")[3] for key in bucket.sizes()} == {good.name}


def test_a_store_that_is_away_gets_it_later_and_until_then_nobody_else_has_it(
    run: Run, machines: Machines, bucket: Bucket, people: People
) -> None:
    machines.on("worker")
    row = write_checkpoint(run, WEIGHTS)
    with bucket.away(), pytest.raises(StoreError):
        send_waiting()
    assert checkpoints.bring(row).read_bytes() == WEIGHTS, "the machine that wrote it has it"
    machines.on("web")
    assert not checkpoints.is_there(row) and send_waiting() == 0
    with pytest.raises(NotYet, match="still on its way"):
        start_of(row, "weights")
    follower = make_run(people.project, after=run, after_checkpoint="last", after_mode="weights")
    assert not chains.resolve(follower.pk), "it goes on waiting"
    lost = make_run(people.project, after=run, after_checkpoint="last", after_mode="weights")
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now() - chains.ON_ITS_WAY)
    assert chains.resolve(lost.pk), "but not for ever"
    lost.refresh_from_db()
    assert lost.state == State.CANCELLED and "still on its way" in lost.reason
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now())
    with pytest.raises(StoreError, match="still on its way"):
        checkpoints.bring(row)
    answer = people.client("viewer").get(reverse("checkpoint-download", args=[row.pk]))
    assert answer.status_code == 503 and "Try again soon" in answer.content.decode()
    page = people.client("viewer").get(reverse("run-checkpoints", args=[run.pk]))
    assert "on its way" in page.content.decode()
    machines.on("worker")
    assert send_waiting() == 1
    machines.on("web")
    assert chains.resolve(follower.pk)
    follower.refresh_from_db()
    assert (follower.state, follower.start_checkpoint) == (State.QUEUED, row)
    answer = people.client("viewer").get(reverse("checkpoint-download", args=[row.pk]))
    assert b"".join(_streamed(answer)) == WEIGHTS


def _streamed(answer: Any) -> Iterator[bytes]:
    from asgiref.sync import async_to_sync

    async def all_of_it() -> list[bytes]:
        return [piece async for piece in answer.streaming_content]

    yield from async_to_sync(all_of_it)()


def test_pages_and_ranges_do_without_the_folder_of_the_worker(
    run: Run, machines: Machines, bucket: Bucket, people: People
) -> None:
    machines.on("worker")
    row = sent(run)
    machines.on("web")
    viewer = people.client("viewer")
    with bucket.away():
        page = viewer.get(reverse("run-checkpoints", args=[run.pk])).content.decode()
        assert row.sha256[:8] in page, "the list asks the database alone"
        assert viewer.get(reverse("checkpoint-download", args=[row.pk])).status_code == 503
        assert viewer.get(f"/api/v1/checkpoints/{row.pk}/download").json()["error"]["code"] == "store_away"
    answer = viewer.get(reverse("checkpoint-download", args=[row.pk]), headers={"Range": "bytes=100-299"})
    assert (answer.status_code, b"".join(_streamed(answer))) == (206, WEIGHTS[100:300])
    assert answer.headers["ETag"] == f'"{row.sha256}"'


def test_what_is_let_go_leaves_the_bucket_and_the_sums_stay_right(run: Run, machines: Machines, bucket: Bucket) -> None:
    machines.on("worker")
    rows = [sent(run, WEIGHTS + bytes([step]), step=step) for step in range(1, 6)]
    machines.on("scheduler")
    before = sum(bucket.sizes().values())
    freed = let_go.retire_checkpoints(run.pk)
    going = rows[:4]
    assert (freed.count, freed.files_bytes) == (4, sum(row.size_bytes + row.manifest_bytes for row in going))
    with bucket.away(), pytest.raises(StoreError):
        remove_due()
    assert (remove_due(), remove_due()) == (4, 0)
    assert sum(bucket.sizes().values()) == before - freed.files_bytes
    assert disk.differences() == []
    machines.on("worker")
    assert len(files_of(Path(shared_checkpoints.folder_of(rows[0])).parent)) == 10
    for row in rows:
        make_old(shared_checkpoints.folder_of(row))
    cache.tidy()
    assert {name.split("/")[0] for name in files_of(shared_checkpoints.folder_of(rows[0]).parent)} == {rows[4].name}


def test_what_the_store_has_stays_until_it_has_something_newer(run: Run, machines: Machines, bucket: Bucket) -> None:
    """Three newer ones wait on the machine that wrote them: if that is lost, the run goes on from the one in the store."""
    oldest = sent(run, step=1)
    waits = [write_checkpoint(run, WEIGHTS + bytes([step]), step=step) for step in range(2, 6)]
    checkpoints.retire(run.pk)
    assert set(run.checkpoints.filter(deleted_at=None).values_list("step", flat=True)) == {1, 3, 4, 5}
    assert send_waiting(checkpoints.retire) == 3
    assert set(run.checkpoints.filter(deleted_at=None).values_list("step", flat=True)) == {3, 4, 5}
    remove_due()
    assert disk.differences() == [] and oldest.pk and waits


def test_one_that_is_let_go_while_it_is_sent_leaves_nothing(
    run: Run, machines: Machines, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, real = write_checkpoint(run, WEIGHTS), ObjectStore.put

    def put(store: ObjectStore, key: str, path: Path) -> None:
        real(store, key, path)
        Checkpoint.objects.filter(pk=row.pk).update(deleted_at=row.created_at)

    monkeypatch.setattr(ObjectStore, "put", put)
    assert not shared_checkpoints.send(row)
    assert bucket.sizes() == {}


def test_half_of_one_whose_machine_was_lost_goes_with_its_row(
    run: Run, machines: Machines, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.on("worker")
    row = write_checkpoint(run, WEIGHTS, superseded=True)
    real = ObjectStore.put

    def put(store: ObjectStore, key: str, path: Path) -> None:
        if key.endswith("manifest.json"):
            raise StoreError("away")
        real(store, key, path)

    monkeypatch.setattr(ObjectStore, "put", put)
    with pytest.raises(StoreError):
        send_waiting()
    machines.on("web")
    assert list(bucket.sizes()) == [f"runs/{run.pk}/checkpoints/{row.name}/checkpoint.ckpt"]
    assert checkpoints.let_go(run.pk) == (1, 0), "the store never had all of it"
    assert sum(size for path, size in disk.units() if path.startswith("runs/")) == 0
    assert (remove_due(), remove_due()) == (1, 0)
    assert bucket.sizes() == {}


def test_an_emptied_trash_leaves_nothing_of_a_run(run: Run, machines: Machines, bucket: Bucket, people: People) -> None:
    row = sent(run)
    Run.objects.filter(pk=run.pk).update(deleted_at=row.created_at)
    machines.on("web")
    freed = trash.purge_run(people.project.pk, run.pk, why="test")
    assert freed.files_bytes == row.size_bytes + row.manifest_bytes
    assert bucket.sizes() == {}


def test_a_run_that_is_emptied_out_while_the_store_is_away_is_swept_later(
    run: Run, machines: Machines, bucket: Bucket, people: People
) -> None:
    from studio.storage import strays

    row = sent(run)
    Run.objects.filter(pk=run.pk).update(deleted_at=row.created_at)
    with bucket.away():
        assert trash.purge_run(people.project.pk, run.pk, why="test").files_bytes == 0
    assert strays.remove(-3600.0) == row.size_bytes + row.manifest_bytes
    assert bucket.sizes() == {}


def test_what_is_made_of_it_for_others_is_in_the_store_too(run: Run, machines: Machines, bucket: Bucket) -> None:
    import hashlib

    row = sent(run)
    digest = hashlib.sha256(b"zip").hexdigest()
    path = checkpoints.path_of(row).with_name(f"{digest}.zip")
    path.write_bytes(b"zip")
    shared_checkpoints.send_made(row, path)
    CheckpointFile.objects.create(
        project=run.project, checkpoint=row, kind=CheckpointFile.Kind.PACK, sha256=digest, size_bytes=3
    )
    Checkpoint.objects.filter(pk=row.pk).update(manifest_bytes=row.manifest_bytes + 3)
    assert disk.differences() == []
    from studio.runs import packs

    machines.on("web")
    assert packs.bring(row.made_files.get()).read_bytes() == b"zip"
    bucket.put(f"runs/{run.pk}/checkpoints/{row.name}/{path.name}", b"zap")
    machines.on("another")
    with pytest.raises(ObjectDamaged):
        packs.bring(row.made_files.get())
    assert files_of(machines.on("another")) == []


def test_folders_of_attempts_that_ended_go_and_those_at_work_stay(run: Run, machines: Machines, people: People) -> None:
    long_ago = timezone.now() - timedelta(hours=2)
    at_work = make_run(people.project, state=State.RUNNING)
    make_attempt(run, ended_at=long_ago)
    make_attempt(at_work)
    top = machines.on("worker")
    (top / f"runs/{at_work.pk}/checkpoints/step-1-f1").mkdir(parents=True)
    for one in (run, at_work):
        (top / f"runs/{one.pk}/a1").mkdir(parents=True)
        (top / f"runs/{one.pk}/a1/output.log").write_bytes(b"words")
    lately = make_run(people.project, state=State.SUCCEEDED)
    make_attempt(lately, ended_at=timezone.now())
    (top / f"runs/{lately.pk}/a1").mkdir(parents=True)
    for path in sorted(top.rglob("*"), reverse=True):
        make_old(path)
    assert cache.tidy() == len(b"words")
    assert not (top / f"runs/{run.pk}/a1").exists()
    assert (top / f"runs/{at_work.pk}/a1/output.log").exists() and (top / f"runs/{lately.pk}/a1").exists()
    assert (top / f"runs/{at_work.pk}/checkpoints/step-1-f1").exists(), "its row may be about to come"
