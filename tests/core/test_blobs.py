"""The content-addressed store keeps whole files or nothing."""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.core import blobs

DATA = b"rows of a table\n" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings) -> Path:
    settings.BLOBS_DIR = tmp_path / "blobs"
    return settings.BLOBS_DIR


def leftovers(store: Path) -> list[str]:
    return os.listdir(store / ".tmp")


def test_the_same_bytes_get_the_same_name_however_they_come(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_bytes(DATA)
    assert blobs.put_bytes(DATA) == (DIGEST, len(DATA))
    assert blobs.put_stream([DATA[:5], b"", DATA[5:]]) == (DIGEST, len(DATA))
    assert blobs.put_file(source) == blobs.put_file(source, link=False) == (DIGEST, len(DATA))
    assert blobs.path_of(DIGEST).read_bytes() == DATA
    assert blobs.exists(DIGEST)
    assert blobs.verify(DIGEST)
    assert leftovers(store) == []


def test_a_linked_file_shares_its_bytes_and_survives_its_source(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.ckpt"
    source.write_bytes(DATA)
    blobs.put_file(source)
    assert os.stat(source).st_ino == os.stat(blobs.path_of(DIGEST)).st_ino
    source.unlink()
    assert blobs.verify(DIGEST)


def test_an_unlinked_copy_is_not_changed_with_its_source(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_bytes(DATA)
    blobs.put_file(source, link=False)
    source.write_bytes(b"other")
    assert blobs.verify(DIGEST)


def test_where_the_disk_cannot_link_the_file_is_copied(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source = tmp_path / "table.csv"
    source.write_bytes(DATA)
    assert blobs.put_file(source) == (DIGEST, len(DATA))
    assert blobs.verify(DIGEST)


def test_an_interrupted_stream_leaves_nothing(store: Path) -> None:
    def torn() -> Iterator[bytes]:
        yield DATA[:100]
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        blobs.put_stream(torn())
    assert leftovers(store) == []
    assert not blobs.exists(DIGEST)


def test_a_stream_beyond_its_limit_is_refused_while_it_arrives(store: Path) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"0" * 1000

    with pytest.raises(blobs.BlobTooLarge):
        blobs.put_stream(endless(), limit_bytes=5000)
    assert taken == 6
    assert leftovers(store) == []


def test_a_damaged_blob_is_noticed_and_a_short_one_is_replaced(store: Path) -> None:
    blobs.put_bytes(DATA)
    path = blobs.path_of(DIGEST)
    path.chmod(0o600)
    path.write_bytes(DATA[:-1])
    assert not blobs.verify(DIGEST)
    blobs.put_bytes(DATA)
    assert blobs.verify(DIGEST)


def test_many_writers_of_the_same_bytes_end_with_one_blob(store: Path) -> None:
    threads = [threading.Thread(target=blobs.put_bytes, args=(DATA,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.verify(DIGEST)
    assert leftovers(store) == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1] + "/", "é" * 64])
def test_only_a_digest_names_a_blob(name: str) -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        blobs.path_of(name)
    assert blobs.verify("0" * 64) is False
