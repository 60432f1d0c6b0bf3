"""The job that looks into an uploaded dataset: reads the file once, and says what is in it or what is wrong.

A file becomes a blob only when it was found to be a dataset; of one that is refused nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from studio.core import blobs
from studio.core.stores import StoreError
from studio.registry import stored
from studio.registry.arguments import fix_arguments
from studio.registry.builtin import data_params
from studio.registry.child import run_child
from studio.registry.choices import choose, suggest
from studio.registry.errors import RegistryError
from studio.registry.inspect import inspect_code
from studio.registry.models import WORKBOOK, Dataset, DatasetVersion, Upload, Version, VersionState
from studio.registry.references import checked_path, fetch, mark_of
from studio.registry.tables.inspection import inspect_csv
from studio.registry.tables.reading import TableError
from studio.registry.uploads import UploadError, adopt_upload, drop_upload
from studio.registry.uploads import path_of as path_of_upload
from studio.registry.versions import begin_inspection, settle, touch
from studio.registry.workbooks import is_workbook, sheet_as_csv
from trainer_core.spec import canonical_json

PROGRESS_EVERY_S = 1.0
LOOK_TIMEOUT_S = 900.0
MAX_ANSWER_BYTES = 32 << 20


def inspect_dataset_version(version_id: int) -> None:
    """Inspect a version that is INSPECTING; may be called again after a crash, and twice at once."""
    version = begin_inspection(DatasetVersion, version_id)
    if version is None:
        return
    if version.source != Version.Source.ZOO:
        inspect_code(version)
        return
    path: Path | None = None
    try:
        path = _file_of(version)
        if version.dataset.kind == Dataset.Kind.TABLE and is_workbook(path):
            _inspect_workbook(version, path)
        elif version.dataset.kind == Dataset.Kind.TABLE and not _is_records(path, version.info.get("filename", "")):
            _inspect_csv(version, path)
        else:
            _inspect_in_child(version, path)
    except TableError as error:
        _refuse(version, error.text, line=error.line, hint=error.hint)
    except UploadError as error:
        _refuse(version, error.text)
    finally:
        if path is not None and _is_fetched(version, path):
            path.unlink(missing_ok=True)


def _is_fetched(version: DatasetVersion, path: Path) -> bool:
    """Whether it was fetched for this inspection alone."""
    return "fetched" in version.info and path.parent == Path(settings.UPLOADS_DIR)


def _file_of(version: DatasetVersion) -> Path:
    """The blob of a version that has one, its file on the server, what its address gives, or its upload."""
    if WORKBOOK in version.blobs:
        return _blob(version, WORKBOOK)
    if "server_file" in version.info:
        try:
            path = checked_path(version.info["server_file"]["path"])
        except RegistryError as error:
            raise UploadError(error.text) from error
        version.info["server_file"] |= mark_of(path)
        version.size_bytes = path.stat().st_size
        return path
    if "stored" in version.info:
        try:
            return stored.first_look(version, lambda share: touch(version, progress=round(share, 3)))
        except (StoreError, stored.StoredChanged) as error:
            raise UploadError(str(error)) from error
    if "path" in version.blobs:
        return _blob(version, "path")
    if "fetched" in version.info:
        path, etag = fetch(version.info["fetched"]["url"], lambda share: touch(version, progress=round(share, 3)))
        version.info["fetched"]["etag"] = etag
        version.size_bytes = path.stat().st_size
        return path
    upload = _upload_of(version)
    if upload is None or not path_of_upload(upload).is_file():
        raise UploadError("The uploaded file is gone. Upload it again.")
    if upload.received_bytes != upload.size_bytes:
        raise UploadError(f"{upload.received_bytes:,} of {upload.size_bytes:,} bytes have arrived.")
    return path_of_upload(upload)


def _blob(version: DatasetVersion, name: str) -> Path:
    try:
        path = blobs.bring(version.blobs[name], lambda size: touch(version))
    except StoreError as error:
        raise UploadError(str(error)) from error
    if not path.is_file():
        raise UploadError("The file of this version is gone from the studio's disk. Upload it again.")
    return path


def _upload_of(version: DatasetVersion) -> Upload | None:
    given = version.info.get("upload")
    return Upload.objects.filter(pk=given).first() if given else None


def _keep(version: DatasetVersion, path: Path) -> None:
    """Make the file a blob that the version names; the upload goes once it does. A file of the server stays as it is."""
    upload = _upload_of(version)
    if "server_file" in version.info:
        digest, size = blobs.digest_of(path)
        if mark_of(path).items() - version.info["server_file"].items():
            raise UploadError(
                "The file was changed while it was looked into. Register it again once it stays as it is."
            )
        _note(version, digest, size)
    elif "stored" in version.info:
        _note(version, path.name, version.size_bytes)
    elif _is_fetched(version, path):
        _note(version, *blobs.put_file(path))
    elif "path" not in version.blobs:
        if upload is None:
            raise UploadError("The uploaded file is gone. Upload it again.")
        digest, size = adopt_upload(upload)
        version.info.pop("upload", None)
        _note(version, digest, size)
    if upload is not None:
        drop_upload(upload)


def _note(version: DatasetVersion, digest: str, size: int) -> None:
    version.blobs, version.sha256, version.size_bytes = {"path": digest}, digest, size
    version.save(update_fields=["blobs", "sha256", "size_bytes", "info"])


def _refuse(version: DatasetVersion, reason: str, *, line: int | None = None, hint: str = "") -> None:
    upload = _upload_of(version)
    info = {**version.info, "line": line, "hint": hint}
    info.pop("upload", None)
    settle(version, VersionState.REJECTED, reason=reason, info=info)
    if upload is not None:
        drop_upload(upload)


def _is_records(path: Path, filename: str) -> bool:
    """Parquet, or JSON objects; anything else is read as CSV, which says what it is if it is none."""
    with path.open("rb") as file:
        head = file.read(64)
    return head.startswith(b"PAR1") or (
        filename.lower().endswith((".jsonl", ".ndjson", ".json"))
        or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    )


def _inspect_workbook(version: DatasetVersion, path: Path) -> None:
    """The sheet that is wanted, else the first, as a CSV. With several sheets the workbook is kept though the one that was
    read is refused, so that another can be read."""
    wanted = str((version.info.get("wanted") or {}).get("sheet") or "")
    with tempfile.TemporaryDirectory(prefix="studio-sheet-", ignore_cleanup_errors=True) as name:
        into, about, refused = sheet_as_csv(path, wanted, Path(name), lambda: touch(version))
        notices = about.pop("notices", [])
        try:
            if refused:
                raise refused
            table = inspect_csv(into, delimiter=",", progress=_teller(version, into.stat().st_size))
        except TableError:
            if len(about.get("sheets", ())) > 1:
                _keep_workbook(version, path, about)
            raise
        _keep_workbook(version, path, about)
        digest, version.size_bytes = blobs.put_file(into)
    version.blobs = {**version.blobs, "path": digest}
    version.save(update_fields=["blobs", "size_bytes"])
    schema = table.schema()
    _offer(version, "CSVTable", {**schema, "notices": [*notices, *schema["notices"]]}, {"rows": table.preview})


def _keep_workbook(version: DatasetVersion, path: Path, about: dict[str, Any]) -> None:
    """As a blob of its own, wherever it came from."""
    about = {**about, "size_bytes": path.stat().st_size}
    if WORKBOOK not in version.blobs:
        if {"server_file", "stored"} & {*version.info}:
            _note(version, *blobs.put_file(path, link=False))
        else:
            _keep(version, path)
        version.blobs = {WORKBOOK: version.blobs["path"]}
    version.info = {k: v for k, v in version.info.items() if k not in ("server_file", "stored")} | {WORKBOOK: about}
    version.blobs, version.size_bytes = {WORKBOOK: version.blobs[WORKBOOK]}, about["size_bytes"]
    version.save(update_fields=["blobs", "size_bytes", "info"])


def _inspect_csv(version: DatasetVersion, path: Path) -> None:
    table = inspect_csv(path, progress=_teller(version, version.size_bytes))
    _keep(version, path)
    _offer(version, "CSVTable", table.schema(), {"rows": table.preview})


def _teller(version: DatasetVersion, size_bytes: int) -> Callable[[int], None]:
    """Tells the page now and then which share of the file has been read."""
    told = time.monotonic()

    def progress(read_bytes: int) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_EVERY_S:
            told = time.monotonic()
            touch(version, progress=round(read_bytes / max(size_bytes, 1), 3))

    return progress


def _inspect_in_child(version: DatasetVersion, path: Path) -> None:
    answer = _look(version, path)
    _keep(version, path)
    schema = answer["schema"]
    if answer["ref"] == "TextFile":
        _accept_text(version, answer)
        return
    if "columns" not in schema:
        schema |= {"args": answer["args"], "choices": answer["choices"], "labels": answer["labels"]}
    _offer(version, answer["ref"], schema, answer["preview"])


def _look(version: DatasetVersion, path: Path) -> dict[str, Any]:
    """What the child found; TableError for what it refused, or did not survive."""
    with tempfile.TemporaryDirectory(prefix="studio-look-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        order = {"path": str(path), "kind": version.dataset.kind, "wanted": version.info.get("wanted") or {}}
        (folder / "order.json").write_text(json.dumps(order | {"progress": str(folder / "progress")}))

        def tick() -> None:
            if (folder / "progress").is_file():
                touch(version, progress=float((folder / "progress").read_text()))
            else:
                touch(version)

        arguments = (str(folder / "order.json"), str(folder / "answer.json"))
        ended = run_child("studio.registry.look", *arguments, folder=folder, timeout_s=LOOK_TIMEOUT_S, tick=tick)
        out = folder / "answer.json"
        if not out.is_file() or out.stat().st_size > MAX_ANSWER_BYTES:
            raise TableError(
                f"Reading the file did not end within {LOOK_TIMEOUT_S / 60:.0f} minutes."
                if ended.timed_out
                else "Reading the file took too much memory, or crashed the reader: it is damaged, or made to do so."
            )
        answer = json.loads(out.read_text(encoding="utf-8"))
    if error := answer.get("error"):
        raise TableError(error["text"], line=error["line"], hint=error["hint"])
    return answer


def _offer(version: DatasetVersion, ref: str, schema: dict[str, Any], preview: dict[str, Any]) -> None:
    with transaction.atomic():  # one that came with its choices is never seen to wait for them
        settle(
            version,
            VersionState.CHOOSING,
            ref=ref,
            schema=schema,
            preview=preview,
            info={**version.info, "progress": 1},
        )
        _choose_as_wanted(version, schema)


def _choose_as_wanted(version: DatasetVersion, schema: dict[str, Any]) -> None:
    """Make the choices that came with the file; what does not fit stays as the reason why the version waits."""
    wanted = {k: v for k, v in (version.info.get("wanted") or {}).items() if k != "sheet"}
    if version.state == VersionState.CHOOSING and wanted:
        try:
            if "columns" in schema:
                found = choose(version, suggest(schema, wanted))
            else:
                found = fix_arguments(version, {k: v for k, v in wanted.items() if k in schema["args"]})
        except ValueError as error:
            found = {"wanted": f"{error}."}
        if found:
            DatasetVersion.objects.filter(pk=version.pk, state=VersionState.CHOOSING).update(
                reason=" ".join(found.values())
            )


def _accept_text(version: DatasetVersion, answer: dict[str, Any]) -> None:
    args, schema = answer["args"], answer["schema"]
    digest = hashlib.sha256(canonical_json({"args": args, "blobs": version.blobs}).encode()).hexdigest()
    info = {**version.info, "task": "language", "input": "text", "characters": schema["characters"]}
    settle(
        version,
        VersionState.READY,
        ref="TextFile",
        args=args,
        sha256=digest,
        params=data_params("TextFile"),
        schema=schema,
        preview=answer["preview"],
        info={**info, "classes": schema["distinct"]},
    )
