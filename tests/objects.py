"""An object store for tests: a bucket of a server that speaks S3, which can be away, and machines that share nothing else."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from studio.core import objects, shared_blobs

KEY, SECRET = "AKIDSTUDIO", "a-secret-of-the-store"
BUCKET, PREFIX = "files", "studio/"


class Bucket:
    """The bucket as its owner sees it. What it has survives that its server is `away`."""

    def __init__(self, file: Path, port: int = 0) -> None:
        import boto3

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._start(port)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.file = file
        file.touch(mode=0o600)
        file.write_text(
            f'address = "s3://{BUCKET}/{PREFIX}"\n[options]\nkey = "{KEY}"\nsecret = "{SECRET}"\n'
            f'client_kwargs = {{ endpoint_url = "{self.endpoint}", region_name = "us-east-1" }}\n'
        )
        given = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        self.s3 = boto3.client("s3", endpoint_url=self.endpoint, **given)
        self.s3.create_bucket(Bucket=BUCKET)

    def _start(self, port: int) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens there meanwhile."""
        self._server.stop()
        try:
            yield
        finally:
            self._start(self.port)
            _forget_that_it_was_away()

    def close(self) -> None:
        for key in self.sizes():
            self.s3.delete_object(Bucket=BUCKET, Key=PREFIX + key)
        self.s3.delete_bucket(Bucket=BUCKET)
        self._server.stop()

    def sizes(self) -> dict[str, int]:
        """Bytes of every object, by its key below the address."""
        found = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for one in page.get("Contents", ()):
                found[one["Key"].removeprefix(PREFIX)] = one["Size"]
        return found

    def get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=PREFIX + key)["Body"].read()

    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=PREFIX + key, Body=data)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=PREFIX + key)


def _forget_that_it_was_away() -> None:
    shared_blobs._away_since, objects._away_at = -shared_blobs.RESTS_S, -objects.RESTS_S


class Machines:
    """Each has a data directory of its own; `on` makes one of them this one."""

    def __init__(self, top: Path, settings: Any) -> None:
        self._top, self._settings = top, settings

    def on(self, name: str) -> Path:
        folder = self._top / name
        folder.mkdir(exist_ok=True)
        given = self._settings
        given.DATA_DIR = folder
        given.BLOBS_DIR, given.UPLOADS_DIR, given.RUNS_DIR = (folder / n for n in ("blobs", "uploads", "runs"))
        return folder


@pytest.fixture
def bucket(tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The studio's files are in it. Who puts a blob waits for it, however slow the machine is."""
    monkeypatch.setattr(shared_blobs, "PATIENCE_S", 60.0)
    found = Bucket(tmp_path / "objects.toml")
    settings.OBJECT_STORE = str(found.file)
    _forget_that_it_was_away()
    yield found
    objects._file_system.cache_clear()
    found.close()


@pytest.fixture
def machines(tmp_path: Path, settings: LazySettings, bucket: Bucket) -> Machines:
    """The one at first is `web`."""
    found = Machines(tmp_path, settings)
    found.on("web")
    return found
