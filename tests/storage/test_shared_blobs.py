"""Blobs in an object store, on machines that share no folder: found everywhere, never wrong, never lost, gone when unused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.models.functions import Now

from studio.core import blobs, objects, shared_blobs
from studio.core.models import SharedBlob
from studio.core.objects import ObjectDamaged
from studio.core.stores import StoreError
from studio.runs import checkpoints
from studio.storage import cache, disk, strays, sweep
from studio.tracking.models import Media
from tests.access.people import People
from tests.factories import make_dataset_version, make_media, make_run, write_checkpoint
from tests.objects import Bucket, Machines, bucket, machines
from tests.ops.stack import ROOT, environment
from tests.storage.files import make_old

__all__ = ["bucket", "machines"]
pytestmark = pytest.mark.django_db(transaction=True)
DATA = b"pixels" * 50
DIGEST = hashlib.sha256(DATA).hexdigest()
KEY = f"blobs/{DIGEST[:2]}/{DIGEST}"


def age(seconds: float = 7200.0) -> None:
    """As if all had been put so long ago."""
    SharedBlob.objects.update(put_at=Now() - timedelta(seconds=seconds))


def nobody(digests: Sequence[str]) -> set[str]:
    return set()


def test_what_one_machine_puts_another_has(machines: Machines, bucket: Bucket, tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_bytes(DATA)
    for put in (lambda: blobs.put_bytes(DATA), lambda: blobs.put_file(source), lambda: blobs.put_stream([DATA])):
        assert put() == (DIGEST, len(DATA))
    assert bucket.sizes() == {KEY: len(DATA)}
    machines.on("worker")
    assert not blobs.path_of(DIGEST).is_file()
    assert (blobs.exists(DIGEST), blobs.size_of(DIGEST)) == (True, len(DATA))
    path = blobs.bring(DIGEST)
    assert path.read_bytes() == DATA and path.is_relative_to(tmp_path / "worker")
    bucket.delete(KEY)
    assert blobs.bring(DIGEST) == path, "what is here is not asked for again"
    assert list((tmp_path / "worker/blobs/.tmp").iterdir()) == []
    assert not blobs.exists("0" * 64)
    with pytest.raises(StoreError):
        blobs.bring("0" * 64)


@pytest.mark.parametrize(
    "wrong", [DATA[:-1], DATA[:-1] + b"X", b"", DATA + b"X"], ids="short flipped empty long".split()
)
def test_a_wrong_object_is_never_used(machines: Machines, bucket: Bucket, wrong: bytes, tmp_path: Path) -> None:
    blobs.put_bytes(DATA)
    bucket.put(KEY, wrong)
    machines.on("worker")
    with pytest.raises(ObjectDamaged, match="other bytes"):
        blobs.bring(DIGEST)
    assert [path for path in (tmp_path / "worker").rglob("*") if path.is_file()] == []
    bucket.put(KEY, DATA)
    assert blobs.bring(DIGEST).read_bytes() == DATA


def test_a_store_that_is_away_holds_nobody_up_and_gets_it_later(machines: Machines, bucket: Bucket) -> None:
    with bucket.away():
        assert blobs.put_bytes(DATA) == (DIGEST, len(DATA))
        assert blobs.bring(DIGEST).read_bytes() == DATA, "the machine that put it has it"
        with pytest.raises(StoreError):
            blobs.send_waiting()
        assert blobs.count_waiting() == 1
        machines.on("worker")
        assert blobs.count_waiting() == 0, "that is for the machine that has it"
        with pytest.raises(StoreError):
            blobs.bring(DIGEST)
    assert bucket.sizes() == {}
    with pytest.raises(StoreError, match="still on its way"):
        blobs.bring(DIGEST)
    machines.on("web")
    assert (blobs.send_waiting(), blobs.send_waiting(), blobs.count_waiting()) == (1, 0, 0)
    machines.on("worker")
    assert blobs.bring(DIGEST).read_bytes() == DATA


def test_only_what_no_row_names_goes_and_the_sums_are_those_of_the_bucket(
    people: People, machines: Machines, bucket: Bucket
) -> None:
    media = make_media(make_run(people.project))
    dataset, size = blobs.put_bytes(b"rows")
    make_dataset_version(project=people.project, blobs={"path": dataset}, size_bytes=size)
    stray, _ = blobs.put_bytes(DATA)
    age()
    young, _ = blobs.put_bytes(b"just now")
    machines.on("scheduler")  # which has none of them
    assert sweep.sweep() == len(DATA)
    assert [blobs.exists(digest) for digest in (media.sha256, dataset, stray, young)] == [True, True, False, True]
    assert sum(bucket.sizes().values()) == media.size_bytes + size + len(b"just now")
    SharedBlob.objects.filter(sha256=young).delete()
    bucket.delete(shared_blobs.key_of(young))
    assert disk.differences() == []
    bucket.delete(shared_blobs.key_of(dataset))
    (missing,) = disk.differences()
    assert (missing.path, missing.words) == (shared_blobs.key_of(dataset), "is missing")


def test_who_puts_or_renews_what_is_there_makes_it_young(machines: Machines, tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(DATA)
    for put in (lambda: blobs.put_bytes(DATA), lambda: blobs.put_file(source), lambda: blobs.refresh(DIGEST)):
        blobs.put_bytes(DATA)
        age()
        machines.on("another")
        put()
        assert blobs.remove([DIGEST], wanted=nobody) == {}
        assert blobs.exists(DIGEST)
    assert not blobs.refresh("0" * 64)
    assert not blobs.refresh(DIGEST, size=1)


def test_a_store_that_is_away_keeps_what_should_go_for_a_later_sweep(machines: Machines, bucket: Bucket) -> None:
    blobs.put_bytes(DATA)
    age()
    with bucket.away():
        assert blobs.remove([DIGEST], wanted=nobody) == {}
    assert blobs.remove([DIGEST], wanted=nobody) == {DIGEST: len(DATA)}
    assert (bucket.sizes(), blobs.exists(DIGEST), blobs.path_of(DIGEST).exists()) == ({}, False, False)


class Died(BaseException):
    """What a killed process does not get to do."""


def test_a_remover_that_dies_half_way_leaves_nothing_that_is_trusted(
    machines: Machines, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is gone and the row is still there: whoever puts the bytes next has to send them again."""
    blobs.put_bytes(DATA)
    age()
    remove = objects.ObjectStore.remove

    def dies(store: objects.ObjectStore, keys: Sequence[str]) -> None:
        remove(store, list(keys))
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(objects.ObjectStore, "remove", dies)
        with pytest.raises(Died):
            blobs.remove([DIGEST], wanted=nobody)
    assert bucket.sizes() == {}
    blobs.put_bytes(DATA)
    assert bucket.sizes() == {KEY: len(DATA)}
    machines.on("another")
    assert blobs.bring(DIGEST).read_bytes() == DATA


def test_one_that_comes_into_use_between_looking_and_removing_stays(machines: Machines, bucket: Bucket) -> None:
    blobs.put_bytes(DATA)
    age()
    asked: list[int] = []

    def wanted(digests: Sequence[str]) -> set[str]:
        asked.append(len(digests))
        if len(asked) == 1:
            blobs.put_bytes(DATA)
        return set()

    assert blobs.remove([DIGEST], wanted=wanted) == {}
    assert bucket.sizes() == {KEY: len(DATA)}
    assert SharedBlob.objects.get().stored_at is not None


def test_writers_and_sweepers_of_two_machines_at_once_lose_nothing(
    people: People, machines: Machines, bucket: Bucket, tmp_path: Path
) -> None:
    """Each round: bytes are put and named, or not, while others remove all that is not named, as hard as they can."""
    run, over, wrong = make_run(people.project), threading.Event(), []

    def sweeping() -> None:
        try:
            while not over.is_set():
                sweep.sweep(idle_s=60.0)
        except BaseException as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweeping) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(40):
            digest, size = blobs.put_bytes(b"%d" % (number % 5) * 40)
            fields = {"kind": "image", "key": "k", "step": 1, "at_step": 1, "epoch": 0.0, "logged_at_s": 0.0}
            fields |= {"position": 0, "mime": "image/png", "sha256": digest, "size_bytes": size, "fence": 1}
            row = Media.objects.create(run=run, seq=number + 1, **fields)
            age()
            if number % 2:
                row.delete()
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert not wrong
    blobs.send_waiting()
    machines.on("fresh")
    named = set(Media.objects.values_list("sha256", flat=True))
    assert named
    assert all(hashlib.sha256(blobs.bring(digest).read_bytes()).hexdigest() == digest for digest in named)


MACHINE = """
import sys, django
django.setup()
from datetime import timedelta
from django.db import transaction
from django.db.models.functions import Now
from studio.core import blobs, shared_blobs
from studio.core.models import SharedBlob
from studio.storage import sweep
from studio.tracking.models import Media
shared_blobs.PATIENCE_S = 0.0  # the thread goes on; a row of a transaction is not seen before its end
run, first, rounds = map(int, sys.argv[1:])
for number in range(first, first + rounds):
    with transaction.atomic():
        digest, size = blobs.put_bytes(b"%d" % (number % 3) * 40)
        row = Media.objects.create(
            run_id=run, seq=number, kind="image", key="k", step=1, at_step=1, epoch=0.0, logged_at_s=0.0, position=0,
            mime="image/png", sha256=digest, size_bytes=size, fence=1,
        )
    blobs.send_waiting()
    SharedBlob.objects.filter(sha256=digest).update(put_at=Now() - timedelta(hours=1))
    if number % 4:
        row.delete()
    sweep.sweep(idle_s=60.0)
"""


if connection.vendor == "postgresql":  # one machine alone can use SQLite

    def test_processes_of_two_machines_that_put_and_remove_the_same_blobs_lose_nothing(
        people: People, machines: Machines, bucket: Bucket, tmp_path: Path
    ) -> None:
        run, place = make_run(people.project), connection.settings_dict
        url = f"postgres://{place['USER']}@{quote(place['HOST'], safe='')}/{place['NAME']}"
        given = {
            "STUDIO_DATABASE_URL": url,
            "STUDIO_OBJECT_STORE": str(bucket.file),
            "DJANGO_SETTINGS_MODULE": "studio.settings",
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", MACHINE, str(run.pk), str(number * 1000), "30"],
                env=environment(STUDIO_DATA_DIR=str(tmp_path / f"machine-{number}"), **given),
                cwd=ROOT,
            )
            for number in (1, 2)
        ]
        assert [process.wait(240) for process in processes] == [0, 0]
        machines.on("fresh")
        named = dict(Media.objects.values_list("sha256", "size_bytes"))
        assert named
        for digest, size in named.items():
            assert len(blobs.bring(digest).read_bytes()) == size
        sweep.sweep(idle_s=60.0)
        assert sum(bucket.sizes().values()) == sum(named.values())


def test_strays_of_crashes_go_after_a_day(machines: Machines, bucket: Bucket) -> None:
    blobs.put_bytes(DATA)
    bucket.put("blobs/00/" + "0" * 64, b"never got its row")
    bucket.put("runs/999/checkpoints/step-1-f1/checkpoint.ckpt", b"of a run that is gone")
    bucket.put("somebody/else.txt", b"not the studio's")
    assert strays.remove(3600.0) == 0, "they may be on their way"
    assert strays.remove(-3600.0) == len(b"never got its row") + len(b"of a run that is gone")
    assert set(bucket.sizes()) == {KEY, "somebody/else.txt"}


def test_a_studio_that_had_no_store_before_sends_what_it_has(
    people: People, machines: Machines, bucket: Bucket, settings: object
) -> None:
    file, settings.OBJECT_STORE = settings.OBJECT_STORE, ""  # type: ignore[attr-defined]
    run = make_run(people.project, state="succeeded")
    media, row = make_media(run), write_checkpoint(run)
    blobs.put_bytes(b"of nobody")
    settings.OBJECT_STORE = file  # type: ignore[attr-defined]
    call_command("send_blobs")
    row.refresh_from_db()
    assert sum(bucket.sizes().values()) == media.size_bytes + row.size_bytes + row.manifest_bytes
    assert disk.differences() == []
    machines.on("another")
    assert checkpoints.bring(row).read_bytes() == b"weights"
    assert blobs.bring(media.sha256).is_file()


def test_copies_that_were_used_longest_ago_make_room(
    machines: Machines, bucket: Bucket, settings: object, people: People
) -> None:
    used = blobs.put_bytes(b"a" * 1000)[0]
    version = make_dataset_version(project=people.project, blobs={"path": used}, size_bytes=1000)
    run = make_run(people.project, dataset_version=version, state="running")
    old, new = (blobs.put_bytes(letter * 1000)[0] for letter in (b"b", b"c"))
    waits = blobs.put_bytes(b"d" * 1000)[0]
    SharedBlob.objects.filter(sha256=waits).update(stored_at=None)
    for number, digest in enumerate((used, waits, old)):
        make_old(blobs.path_of(digest), age_s=7200 - number)
    settings.CACHE_BYTES = 500  # type: ignore[attr-defined]
    assert cache.keep_small() == 1000
    here = [blobs.path_of(digest).is_file() for digest in (used, waits, old, new)]
    assert here == [True, True, False, True], "in use, not sent yet, old, young"
    assert blobs.bring(old).read_bytes() == b"b" * 1000
    settings.OBJECT_STORE = ""  # type: ignore[attr-defined]
    make_old()
    assert cache.keep_small() == 0, "without an object store they are no copies"
    assert run.pk and blobs.exists(old)
