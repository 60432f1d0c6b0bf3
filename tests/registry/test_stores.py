"""Data in an S3 store, by reference, against a server that speaks S3: read, pinned, cached, and what has changed is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from studio.core import blobs
from studio.core.stores import Mark, StoreError, store_of, stores
from studio.registry import stored
from studio.registry.errors import RegistryError
from studio.registry.files import create_dataset_from_address
from studio.registry.models import DatasetVersion
from studio.registry.publish import version_with_other_choices
from studio.registry.references import checked_address
from studio.registry.refs import data_ref
from studio.worker.data import bring_data
from tests.access.people import People
from tests.registry.conftest import ControlQueue
from tests.registry.files import pets, zipped
from tests.registry.test_references import CSV

KEY, SECRET = "AKIDSTUDIO", "a-secret-of-the-store"
FOLDER = "s3://training/public/"


class Bucket:
    """The bucket as its owner sees it."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        given = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        self.s3 = boto3.client("s3", endpoint_url=endpoint, **given)
        self.s3.create_bucket(Bucket="training")

    def put(self, name: str, data: bytes) -> str:
        self.s3.put_object(Bucket="training", Key=name, Body=data)
        return f"s3://training/{name}"

    def delete(self, name: str) -> None:
        self.s3.delete_object(Bucket="training", Key=name)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, settings: Any, tmp_path: Path) -> Bucket:
    """A bucket whose folder public/ is open for data."""
    path = tmp_path / "stores.toml"
    path.write_text(
        f'[lab]\naddress = "{FOLDER}"\n[lab.options]\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
        f'client_kwargs = {{ endpoint_url = "{endpoint}", region_name = "us-east-1" }}\n'
    )
    settings.DATA_STORES, settings.CACHE_DIR = str(path), tmp_path / "cache"
    return Bucket(endpoint)


def made(people: People, control: ControlQueue, address: str, kind: str = "table", **wanted: Any) -> DatasetVersion:
    given: dict[str, Any] = {"project": people.project, "user": people.editor, "name": "", "wanted": wanted}
    version = create_dataset_from_address(kind=kind, address=address, **given)
    control.work()
    version.refresh_from_db()
    return version


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "kind", "wanted"), [("table.csv", "table", {"target": "kind"}), ("pets.zip", "images", {"image_size": 16})]
)
def test_it_stays_in_its_store_and_is_pinned(
    people: People, control: ControlQueue, bucket: Bucket, name: str, kind: str, wanted: dict[str, Any]
) -> None:
    data = CSV.encode() if kind == "table" else zipped(pets())
    address = bucket.put(f"public/{name}", data)
    version = made(people, control, address, kind, **wanted)
    assert (version.state, version.dataset.name) == ("ready", name[:-4]), version.reason
    digest = version.blobs["path"]
    assert (version.size_bytes, version.info["stored"]["url"], version.info["stored"]["store"]) == (
        len(data), address, "lab",
    )  # fmt: skip
    assert len(version.info["stored"]["etag"]) == 32
    assert not blobs.exists(digest), "the studio keeps no copy of its own"
    assert stored.cache_path(digest).read_bytes() == data
    assert [path.name for path in stored.cache_path(digest).parent.iterdir()] == [digest]
    spec = {"data": asdict(data_ref(version, {}))}
    assert bring_data(spec, version, lambda: None) == (spec, "")
    assert version_with_other_choices(version=version, user=people.editor).info["stored"] == version.info["stored"]
    page = people.client("viewer").get(reverse("dataset-version", args=[version.pk])).content.decode()
    assert address in page
    for text in (page, json.dumps(version.info), repr(stores())):
        assert SECRET not in text
        assert KEY not in text


@pytest.mark.django_db
def test_what_has_changed_in_the_store_is_told_or_refused(
    people: People, control: ControlQueue, bucket: Bucket
) -> None:
    version = made(people, control, bucket.put("public/table.csv", CSV.encode()), target="kind")
    path = stored.cache_path(version.blobs["path"])
    path.unlink()
    ticks: list[int] = []
    spec, words = bring_data({"data": {"files": {}}}, version, lambda: ticks.append(1))
    assert (spec["data"]["files"], words, bool(ticks)) == ({"path": str(path)}, "", True)
    bucket.put("public/table.csv", CSV.replace("0,a", "9,a").encode())  # as long as it was
    assert "has changed since it was registered; this machine's copy" in stored.bring(version).notice
    path.unlink()
    with pytest.raises(stored.StoredChanged, match="Make a new version"):
        stored.bring(version)
    assert not path.exists()
    bucket.delete("public/table.csv")
    with pytest.raises(StoreError, match="is not there"):
        stored.bring(version)
    path.write_bytes(CSV.encode())
    assert "is not there. This machine's copy" in stored.bring(version).notice


@pytest.mark.django_db
def test_bytes_that_are_not_those_of_the_mark_are_never_used(
    people: People, control: ControlQueue, bucket: Bucket
) -> None:
    version = made(people, control, bucket.put("public/table.csv", CSV.encode()), target="kind")
    stored.cache_path(version.blobs["path"]).unlink()
    version.blobs = {"path": "0" * 64}
    with pytest.raises(stored.StoredChanged, match="other bytes"):
        stored.bring(version)
    assert list(Path(stored.cache_path("0" * 64)).parent.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://training/private/a.csv", "Open are s3://training/public/"),
        ("s3://training/public/../private/a.csv", "is no file below"),
        ("s3://training/publicity/a.csv", "is no file below"),
        ("s3://training/public/", "is no file below"),
        ("s3://training/public//a.csv", "is no file below"),
        ("s3://training/public/*.csv", "is no file below"),
        ("s3://training/public/a.csv?versionId=1", "is no file below"),
        ("simplecache::s3://training/public/a.csv", "is no file below"),
        ("file:///etc/passwd", "is no file below"),
        ("http://example.org/a.csv", "is no file below"),
    ],
)
def test_only_what_lies_below_an_open_address_is_taken(bucket: Bucket, address: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as refused:
        checked_address(address)
    assert refused.value.field == "address"


@pytest.mark.django_db
def test_what_cannot_be_read_is_a_reason_without_the_secret(
    people: People, control: ControlQueue, bucket: Bucket, settings: Any
) -> None:
    version = made(people, control, f"{FOLDER}none.csv")
    assert (version.state, "is not there" in version.reason) == ("rejected", True)
    settings.MAX_UPLOAD_BYTES = 10
    version = made(people, control, bucket.put("public/big.csv", CSV.encode()))
    assert "more than the 10 bytes" in version.reason
    path = Path(settings.DATA_STORES)
    path.write_text(
        path.read_text().replace("http://127.0.0.1", "http://127.0.0.1:1/").replace("endpoint_url", "endpoint")
    )
    with pytest.raises(StoreError) as refused:
        store_of(f"{FOLDER}a.csv").mark(f"{FOLDER}a.csv")
    assert SECRET not in str(refused.value)


def test_a_damaged_file_of_stores_is_said_and_opens_nothing(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    settings.DATA_STORES = str(path)
    for text, words in (
        ("[lab", "cannot be read"),
        ('[lab]\naddress = "s3://bucket"', "ends with a slash"),
        ("lab = 1", "needs an address"),
    ):
        path.write_text(text)
        with pytest.raises(StoreError, match=words):
            stores()
        with pytest.raises(RegistryError, match=words):
            checked_address("s3://bucket/a.csv")


def test_any_file_system_that_fsspec_knows_can_be_a_store(settings: Any, tmp_path: Path) -> None:
    import fsspec

    path = tmp_path / "stores.toml"
    path.write_text('[memory]\naddress = "memory://open/"\n')
    settings.DATA_STORES = str(path)
    fsspec.filesystem("memory").pipe("/open/a.csv", b"a,b")
    store = store_of("memory://open/a.csv")
    assert store.mark("memory://open/a.csv").size_bytes == 3
    assert b"".join(store.read("memory://open/a.csv")) == b"a,b"


def test_marks_differ_by_size_by_etag_or_else_by_time() -> None:
    assert Mark(1, "a", "then").is_same(Mark(1, "a", "now"))
    assert not Mark(1, "a").is_same(Mark(2, "a"))
    assert not Mark(1, "a", "then").is_same(Mark(1, "b", "then"))
    assert not Mark(1, "", "then").is_same(Mark(1, "", "now"))


def test_the_cache_forgets_what_was_used_longest_ago(settings: Any, tmp_path: Path) -> None:
    import os

    settings.CACHE_DIR, settings.CACHE_BYTES = tmp_path, 25
    names = [letter * 64 for letter in "abcd"]
    for age, name in enumerate(names):
        (tmp_path / name).write_bytes(b"0123456789")
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    assert stored.evict({names[0]}) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[0], names[3]]
