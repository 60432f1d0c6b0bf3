"""Making datasets from files: an upload, bytes, or a file of the server; each gives a version to inspect."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from studio.accounts.audit import record
from studio.accounts.models import Project, User
from studio.core import blobs
from studio.core.download import safe_name
from studio.registry.errors import RegistryError
from studio.registry.models import Dataset, DatasetVersion, Upload, Version, VersionState
from studio.registry.publish import entry_named
from studio.registry.references import checked_address
from studio.registry.uploads import UploadError, keep_bytes
from studio.registry.versions import add_version

# What a file of each kind is read by, as long as nobody has looked into it, and how one without a name is called.
KINDS = {
    Dataset.Kind.TABLE: ("CSVTable", "table.csv"),
    Dataset.Kind.TEXT: ("TextFile", "text.txt"),
    Dataset.Kind.IMAGES: ("ImageZip", "images.zip"),
    Dataset.Kind.ARRAYS: ("ArrayFile", "arrays.npz"),
}


def create_dataset_from_file(
    *,
    kind: str,
    project: Project,
    user: User,
    name: str,
    upload: Upload | None = None,
    data: bytes | None = None,
    path: Path | None = None,
    filename: str = "",
    wanted: dict[str, Any] | None = None,
    note: str = "",
) -> DatasetVersion:
    """A version from one of an upload, bytes or a file of the server, for a worker to look into.

    `wanted` holds decisions in advance: for a table the fields of `choices.Choices` (at least `target`), else arguments of
    the data class. Without it, and where it does not do, the version waits for somebody to choose; a text for language
    models never waits. The same bytes with the same wishes give the version that is there.
    """
    source = [v for v in (upload, data, path) if v is not None]
    if len(source) != 1:
        raise RegistryError("Choose a file.", field="file")
    if upload is not None and (
        upload.project_id != project.pk or upload.user_id != user.pk or upload.finished_at is None
    ):
        raise RegistryError("The upload is not finished, or not yours. Choose the file again.", field="file")
    if data == b"":
        raise RegistryError("The file is empty: it has 0 bytes.", field="file")
    ref, usual = KINDS[Dataset.Kind(kind)]
    wanted = wanted or {}
    digest = _digest(data, path)
    with transaction.atomic():
        dataset = entry_named(Dataset, project, user, name, kind=kind)
        if digest:
            same = Q(blobs__path=digest) | Q(blobs__workbook=digest) | Q(sha256=digest)
            for known in dataset.versions.filter(same).exclude(state=VersionState.REJECTED):
                if {"server_file", "stored"} & {*known.info}:  # what was sent is kept, whatever becomes of that file
                    continue
                if known.info.get("wanted", {}) == wanted:
                    return known
    if upload is None:
        upload = _kept(project, user, filename or usual, data, path)
    with transaction.atomic():
        version: DatasetVersion = add_version(
            dataset,
            source=Version.Source.ZOO,
            ref=ref,
            sha256=digest,
            size_bytes=upload.size_bytes,
            note=note,
            info={"wanted": wanted, "filename": upload.filename, "upload": str(upload.pk)},
            created_by=user,
        )
        record(user, "dataset.register", version, filename=upload.filename, size_bytes=upload.size_bytes)
    return version


def create_dataset_from_address(
    *,
    kind: str,
    project: Project,
    user: User,
    name: str,
    address: str,
    wanted: dict[str, Any] | None = None,
    note: str = "",
) -> DatasetVersion:
    """A version of what lies at an https address, in a store, or at a path of the server; see `references` and the above.

    The same address gives the version that is there as long as a worker looks into it.
    """
    found, wanted = checked_address(address), wanted or {}
    size_bytes = found.get("server_file", {}).get("size_bytes", 0)
    with transaction.atomic():
        dataset = entry_named(Dataset, project, user, name or found["filename"].rsplit(".", 1)[0], kind=kind)
        for known in dataset.versions.filter(state=VersionState.INSPECTING):
            if known.info.get("address") == address and known.info.get("wanted") == wanted:
                return known
        version: DatasetVersion = add_version(
            dataset,
            source=Version.Source.ZOO,
            ref=KINDS[Dataset.Kind(kind)][0],
            size_bytes=size_bytes,
            note=note,
            info={**found, "wanted": wanted, "address": address},
            created_by=user,
        )
        record(user, "dataset.register", version, address=address)
    return version


def create_dataset_from_csv(**given: Any) -> DatasetVersion:
    """A table; see `create_dataset_from_file`. Parquet, JSON lines and workbooks are known by their content."""
    return create_dataset_from_file(kind=Dataset.Kind.TABLE, **given)


def create_dataset_from_text(**given: Any) -> DatasetVersion:
    """A text for language models, or labelled lines."""
    return create_dataset_from_file(kind=Dataset.Kind.TEXT, **given)


def _digest(data: bytes | None, path: Path | None) -> str:
    if data is not None:
        return hashlib.sha256(data).hexdigest()
    return blobs.digest_of(path)[0] if path is not None else ""


def _kept(project: Project, user: User, filename: str, data: bytes | None, path: Path | None) -> Upload:
    try:
        if data is not None:
            return keep_bytes(project=project, user=user, filename=filename, chunks=[data], size_bytes=len(data))
        assert path is not None
        with path.open("rb") as file:
            chunks = iter(lambda: file.read(blobs.CHUNK_BYTES), b"")
            size = path.stat().st_size
            return keep_bytes(project=project, user=user, filename=safe_name(filename), chunks=chunks, size_bytes=size)
    except UploadError as error:
        raise RegistryError(error.text, field="file") from error
