"""Datasets: find, and make from a file of this machine or by reference."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any, BinaryIO

from studio.client.connection import Connection
from studio.client.errors import NotReached, StudioError
from studio.client.models import newest_ready
from studio.client.projects import Projects
from studio.client.records import DatasetVersion, Project

CHUNK_BYTES = 8 << 20
TRIES, PAUSE_S = 5, 0.5


class Datasets:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: Project | int | str | None = None) -> list[dict[str, Any]]:
        """What the studio tells of each dataset; with `project`, of those that its runs can use."""
        project_id = None if project is None else Projects(self._connection).id_of(project)
        return list(self._connection.pages("/datasets", project=project_id, limit=200))

    def create_csv(
        self,
        path: str | Path,
        *,
        project: Project | int | str,
        target: str | None = None,
        name: str = "",
        note: str = "",
        **options: Any,
    ) -> DatasetVersion:
        """Upload a table. With `target`, the column to predict, it becomes ready by itself: `wait()` for it.

        `options` are the choices of the page: task, uses (by column), split, val_fraction, test_fraction, seed.
        An upload that is interrupted goes on where it stopped.
        """
        path = Path(path)
        project_id = Projects(self._connection).id_of(project)
        source = {"upload": self._upload(path, project_id), "name": name or path.stem}
        return self._create(project=project_id, target=target, note=note, options=options, **source)

    def create_reference(
        self,
        address: str,
        *,
        project: Project | int | str,
        kind: str = "table",
        target: str | None = None,
        name: str = "",
        note: str = "",
        **options: Any,
    ) -> DatasetVersion:
        """Data that lies elsewhere: an https address, a path of the server below an allowed folder, or an address of one
        of its stores, such as s3://bucket/key. `kind` is table, images, text or arrays; else as `create_csv`.
        """
        project_id = Projects(self._connection).id_of(project)
        source = {"address": address, "kind": kind, "name": name}
        return self._create(project=project_id, target=target, note=note, options=options, **source)

    def _create(self, **given: Any) -> DatasetVersion:
        return DatasetVersion.read(self._connection, self._connection.create("/datasets", given))

    def version(self, id: int) -> DatasetVersion:
        return DatasetVersion.read(self._connection, self._connection.get(f"/dataset-versions/{id}"))

    def version_id_of(self, dataset: DatasetVersion | int | str, project_id: int) -> int:
        if isinstance(dataset, DatasetVersion):
            return dataset.id
        return dataset if isinstance(dataset, int) else newest_ready(self._connection, "datasets", dataset, project_id)

    def _upload(self, path: Path, project_id: int) -> str:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            given = {"project": project_id, "filename": path.name, "size_bytes": size, "sha256": sha256}
            upload: str = self._connection.create("/uploads", given)["id"]
            received, failed = 0, 0
            while received < size:
                try:
                    received, failed = self._send_chunk(file, upload, received), 0
                except StudioError as error:
                    failed += 1
                    may_go_on = isinstance(error, NotReached) or error.status in (409, 422, 502, 503, 504)
                    if not may_go_on or failed == TRIES:
                        raise
                    time.sleep(PAUSE_S * failed)
                    received = self._connection.get(f"/uploads/{upload}")["received_bytes"]
        return upload

    def _send_chunk(self, file: BinaryIO, upload: str, received: int) -> int:
        file.seek(received)
        chunk = file.read(CHUNK_BYTES)
        headers = {"X-Chunk-Sha256": hashlib.sha256(chunk).hexdigest()}
        told = self._connection.put(f"/uploads/{upload}", chunk, headers=headers, offset=received)
        return int(told["received_bytes"])
