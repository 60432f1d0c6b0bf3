"""A blob goes when nobody names it and nobody put it lately; one that comes into use meanwhile stays."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence

import pytest
from django.conf import settings

from studio.core import blobs
from studio.storage import sweep
from studio.tracking.models import Media
from tests.access.people import People
from tests.factories import make_dataset_version, make_media, make_run
from tests.storage.files import make_old

DATA = b"pixels" * 50
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.mark.django_db
def test_only_what_no_row_names_goes(people: People) -> None:
    media = make_media(make_run(people.project))
    dataset, size = blobs.put_bytes(b"rows")
    make_dataset_version(project=people.project, blobs={"path": dataset}, size_bytes=size)
    stray, _ = blobs.put_bytes(DATA)
    make_old()
    young, _ = blobs.put_bytes(b"just now")
    assert sweep.sweep() == len(DATA)
    assert [blobs.exists(digest) for digest in (media.sha256, dataset, stray, young)] == [True, True, False, True]


@pytest.mark.django_db
def test_half_written_files_of_crashes_go_after_a_day(people: People) -> None:
    blobs.put_bytes(DATA)
    left, new = (settings.BLOBS_DIR / ".tmp" / name for name in ("left", "new"))
    left.write_bytes(b"12345")
    new.write_bytes(b"1")
    make_old(left, age_s=2 * sweep.STALE_S)
    assert sweep.sweep() == 5
    assert new.exists() and not left.exists()


def test_who_puts_bytes_that_are_there_makes_them_young() -> None:
    source = settings.DATA_DIR / "upload"
    for put in (lambda: blobs.put_bytes(DATA), lambda: blobs.put_file(source), lambda: blobs.refresh(DIGEST)):
        source.write_bytes(DATA)
        blobs.put_bytes(DATA)
        make_old()
        put()
        assert blobs.remove([DIGEST], wanted=lambda digests: set()) == {}
        assert blobs.exists(DIGEST)
    assert not blobs.refresh("0" * 64)


def test_a_linked_file_is_young_as_a_blob_however_old_it_was() -> None:
    source = settings.DATA_DIR / "upload"
    source.write_bytes(DATA)
    make_old(source)
    blobs.put_file(source)
    assert blobs.remove([DIGEST], wanted=lambda digests: set()) == {}
    make_old()
    assert blobs.remove([DIGEST], wanted=lambda digests: set()) == {DIGEST: 0}, "the upload still has the bytes"
    assert source.read_bytes() == DATA


def test_nobody_puts_a_blob_while_it_is_being_removed() -> None:
    """Whoever comes in between looking and removing waits, and then writes the bytes anew."""
    blobs.put_bytes(DATA)
    make_old()
    looking, put = threading.Event(), threading.Event()

    def writer() -> None:
        looking.wait(20)
        blobs.put_bytes(DATA)
        put.set()

    thread = threading.Thread(target=writer)
    thread.start()

    def wanted(digests: Sequence[str]) -> set[str]:
        looking.set()
        assert not put.wait(0.2), "it was put while the gate was shut"
        return set()

    assert blobs.remove([DIGEST], wanted=wanted) == {DIGEST: len(DATA)}
    thread.join(20)
    assert put.is_set() and blobs.verify(DIGEST)


@pytest.mark.django_db(transaction=True)
def test_writers_and_sweepers_at_once_lose_nothing(people: People) -> None:
    """Each round: bytes are put and then named, while two others sweep all the time, as hard as they can."""
    from django.db import connections

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
        for number in range(30):
            digest, size = blobs.put_bytes(b"%d" % (number % 7) * 40)
            fields = {"kind": "image", "key": "k", "step": 1, "at_step": 1, "epoch": 0.0, "logged_at_s": 0.0}
            fields |= {"position": 0, "mime": "image/png", "sha256": digest, "size_bytes": size, "fence": 1}
            row = Media.objects.create(run=run, seq=number + 1, **fields)
            make_old()
            assert blobs.exists(digest)
            if number % 2:
                row.delete()
            time.sleep(0.002)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert not wrong
    assert all(blobs.verify(digest) for digest in Media.objects.values_list("sha256", flat=True))
