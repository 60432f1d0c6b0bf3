"""The job that looks into an uploaded dataset: adopts the file, reads it once, and says what is in it or what is wrong."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from django.db import transaction

from studio.core import blobs
from studio.registry.builtin import data_params
from studio.registry.choices import choose, suggest
from studio.registry.inspect import inspect_code
from studio.registry.models import DatasetVersion, Upload, Version, VersionState
from studio.registry.tables.inspection import inspect_csv
from studio.registry.tables.reading import TableError
from studio.registry.texts import inspect_text
from studio.registry.uploads import UploadError, adopt_upload, drop_upload
from studio.registry.versions import begin_inspection, settle, touch
from trainer_core.spec import canonical_json

PROGRESS_EVERY_S = 1.0


def inspect_dataset_version(version_id: int) -> None:
    """Inspect a version that is INSPECTING; may be called again after a crash, and twice at once."""
    version = begin_inspection(DatasetVersion, version_id)
    if version is None:
        return
    if version.source != Version.Source.ZOO:
        inspect_code(version)
        return
    try:
        path = _blob_of(version)
        if version.ref == "TextFile":
            _inspect_text(version, path)
        else:
            _inspect_table(version, path)
    except TableError as error:
        info = {**version.info, "line": error.line, "hint": error.hint}
        settle(version, VersionState.REJECTED, reason=error.text, info=info)
    except UploadError as error:
        settle(version, VersionState.REJECTED, reason=error.text)


def _blob_of(version: DatasetVersion) -> Path:
    """The file of the version; an upload becomes a blob first, and is dropped once the version names the blob."""
    upload = Upload.objects.filter(pk=version.info["upload"]).first() if version.info.get("upload") else None
    if "path" not in version.blobs:
        if upload is None:
            raise UploadError("The uploaded file is gone. Upload it again.")
        digest, size = adopt_upload(upload)
        version.blobs, version.sha256, version.size_bytes = {"path": digest}, digest, size
        version.save(update_fields=["blobs", "sha256", "size_bytes"])
    if upload is not None:
        drop_upload(upload)
    path = blobs.path_of(version.blobs["path"])
    if not path.is_file():
        raise UploadError("The file of this version is gone from the studio's disk. Upload it again.")
    return path


def _inspect_table(version: DatasetVersion, path: Path) -> None:
    told = time.monotonic()

    def progress(read_bytes: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_EVERY_S:
            told = time.monotonic()
            touch(version, progress=round(read_bytes / max(version.size_bytes, 1), 3))

    table = inspect_csv(path, progress=progress)
    schema = table.schema()
    with transaction.atomic():  # a table that came with its choices is never seen to wait for them
        settle(
            version,
            VersionState.CHOOSING,
            schema=schema,
            preview={"rows": table.preview},
            info={**version.info, "progress": 1},
        )
        _choose_as_wanted(version, schema)


def _choose_as_wanted(version: DatasetVersion, schema: dict[str, Any]) -> None:
    """Make the choices that came with the file; what does not fit stays as the reason why the version waits."""
    wanted = version.info.get("wanted") or {}
    if version.state == VersionState.CHOOSING and wanted:
        try:
            found = choose(version, suggest(schema, wanted))
        except ValueError as error:
            found = {"wanted": f"{error}."}
        if found:
            DatasetVersion.objects.filter(pk=version.pk, state=VersionState.CHOOSING).update(
                reason=" ".join(found.values())
            )


def _inspect_text(version: DatasetVersion, path: Path) -> None:
    text = inspect_text(path)
    args = {"encoding": text.encoding}
    digest = hashlib.sha256(canonical_json({"args": args, "blobs": version.blobs}).encode()).hexdigest()
    info = {
        **version.info,
        "task": "language",
        "input": "text",
        "characters": text.characters,
        "classes": len(text.counts),
    }
    settle(
        version,
        VersionState.READY,
        args=args,
        sha256=digest,
        params=data_params("TextFile"),
        schema=text.schema(),
        preview={"text": text.preview},
        info=info,
    )
