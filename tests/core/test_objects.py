"""The object store by itself: whole objects by key, nothing of its credentials in words, and an end to waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio.core import objects
from studio.core.objects import ObjectMissing
from studio.core.stores import StoreError
from tests.objects import BUCKET, KEY, SECRET, Bucket, bucket
from tests.ops.stack import ROOT, environment, eventually

__all__ = ["bucket"]


def test_objects_are_put_fetched_listed_and_removed(bucket: Bucket, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"few")
    large.write_bytes(os.urandom((2 * objects.PART_BYTES) + 12_345))  # sent in parts
    store = objects.store()
    store.put("a/small", small)
    store.put("a/b/large", large)
    assert bucket.sizes() == {"a/small": 3, "a/b/large": large.stat().st_size}
    assert b"".join(store.fetch("a/b/large")) == large.read_bytes()
    assert {one.key: one.size_bytes for one in store.listed("a/")} == bucket.sizes()
    assert all(abs(one.modified - time.time()) < 60 for one in store.listed("a/"))
    assert [one.key for one in store.listed("a/b/")] == ["a/b/large"]
    assert store.size("a/small") == 3
    small.write_bytes(b"other")
    store.put("a/small", small)
    assert bucket.get("a/small") == b"other"
    store.remove(["a/small", "a/nothing"])
    store.remove([])
    assert set(bucket.sizes()) == {"a/b/large"}
    assert list(store.listed("nowhere/")) == []


def test_what_is_not_there_is_said_apart_from_a_store_that_is_away(bucket: Bucket, tmp_path: Path) -> None:
    store = objects.store()
    for ask in (lambda: list(store.fetch("no")), lambda: store.size("no")):
        with pytest.raises(ObjectMissing, match="is not there"):
            ask()
    file = tmp_path / "file"
    file.write_bytes(b"x")
    began = time.monotonic()
    with bucket.away():
        for ask in (
            lambda: list(store.fetch("no")),
            lambda: store.put("a", file),
            lambda: store.remove(["a"]),
            lambda: list(store.listed("a/")),
        ):
            with pytest.raises(StoreError) as found:
                ask()
            assert not isinstance(found.value, ObjectMissing)
            assert KEY not in str(found.value) and SECRET not in str(found.value)
    assert time.monotonic() - began < 30
    store.put("a", file)
    assert bucket.get("a") == b"x", "and it is used again once it is back"


def test_after_a_failure_many_readers_do_not_wait_for_it_one_by_one(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = objects.ObjectStore.read
    monkeypatch.setattr(objects.ObjectStore, "read", lambda store, url: (asked.append(url), real(store, url))[1])
    with bucket.away():
        for _ in range(5):
            with pytest.raises(StoreError):
                list(objects.store().fetch("no"))
        assert len(asked) == 1
    with pytest.raises(ObjectMissing):
        list(objects.store().fetch("no"))
    with pytest.raises(ObjectMissing):
        list(objects.store().fetch("no"))
    assert len(asked) == 3, "one that is not there is no failure of the store"


PUTS = """
import sys, django
django.setup()
from pathlib import Path
from studio.core import objects
objects.store().put("large", Path(sys.argv[1]))
"""


def test_an_upload_that_is_killed_leaves_no_object(bucket: Bucket, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(20 * objects.PART_BYTES)
    given = {"STUDIO_OBJECT_STORE": str(bucket.file), "DJANGO_SETTINGS_MODULE": "studio.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", PUTS, str(large)],
        env=environment(STUDIO_DATA_DIR=str(tmp_path / "data"), **given),
        cwd=ROOT,
    )
    eventually(lambda: bucket.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads"), "it is being sent")
    process.kill()
    process.wait(30)
    assert bucket.sizes() == {}
    with large.open("wb") as file:
        file.write(b"whole")
    objects.store().put("large", large)
    assert bucket.get("large") == b"whole"


def test_a_store_elsewhere_is_taken_by_its_address(tmp_path: Path, settings: Any) -> None:
    """Other kinds than S3, by fsspec: here a folder."""
    path = tmp_path / "objects.toml"
    path.write_text(f'address = "file://{tmp_path}/store/"\noptions = {{ auto_mkdir = true }}\n')
    settings.OBJECT_STORE = str(path)
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    store = objects.store()
    store.put("blobs/ab/1", file)
    assert b"".join(store.fetch("blobs/ab/1")) == b"bytes"
    assert [(one.key, one.size_bytes) for one in store.listed("blobs/")] == [("blobs/ab/1", 5)]
    store.remove(["blobs/ab/1", "blobs/ab/2"])
    assert list(store.listed("blobs/")) == []


@pytest.mark.parametrize("text", ["", "address = 3", 'address = "s3://bucket/no-slash"', "not toml at all ="])
def test_a_file_that_says_nothing_useful_is_refused_in_words(text: str, tmp_path: Path, settings: Any) -> None:
    settings.OBJECT_STORE = str(tmp_path / "objects.toml")
    with pytest.raises(StoreError, match="STUDIO_OBJECT_STORE"):
        objects.store()
    Path(settings.OBJECT_STORE).write_text(text)
    with pytest.raises(StoreError, match="STUDIO_OBJECT_STORE"):
        objects.store()
