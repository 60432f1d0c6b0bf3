"""Checkpoints in an object store, for machines that share no folder: RUNS_DIR is then a cache of what the store has.

The engine writes a checkpoint to its machine's disk as ever and its row commits it; this machine then sends the files,
the manifest last, and notes in the row that the store has them. A checkpoint that is fetched gets its name on the disk
once the manifest is the one that was committed and every file is as the manifest says. What a row lets go of is removed
from the store by `remove_due`, so nobody waits for a store that is away.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from studio.core import objects
from studio.core.objects import ObjectDamaged
from studio.core.stores import StoreError
from studio.runs.models import Checkpoint

log = logging.getLogger(__name__)
FILE, MANIFEST = "checkpoint.ckpt", "manifest.json"
PARTIAL = ".fetch-"
MOST_AT_ONCE = 200
Tell = Callable[[int], None]


def prefix_of(run_pk: int, name: str = "") -> str:
    return f"runs/{run_pk}/checkpoints/{name}/" if name else f"runs/{run_pk}/"


def folder_of(checkpoint: Checkpoint) -> Path:
    return Path(settings.RUNS_DIR) / str(checkpoint.run_id) / "checkpoints" / checkpoint.name


def is_stored(checkpoint: Checkpoint) -> bool:
    return checkpoint.stored_at is not None and checkpoint.deleted_at is None and objects.is_open()


def is_here(checkpoint: Checkpoint) -> bool:
    return (folder_of(checkpoint) / FILE).is_file()


def waiting(run_pk: int | None = None) -> Iterator[Checkpoint]:
    """Checkpoints (of one run) that the store has not got and that this machine has, the oldest first."""
    for pks in _pieces([run_pk] if run_pk is not None else runs_here()):
        rows = Checkpoint.objects.filter(run__in=pks, stored_at=None, deleted_at=None).order_by("pk")
        yield from (row for row in rows if is_here(row))


def runs_here() -> list[int]:
    """Runs of which this machine has files."""
    with suppress(FileNotFoundError):
        return sorted(int(entry.name) for entry in os.scandir(settings.RUNS_DIR) if entry.name.isdecimal())
    return []


def send(checkpoint: Checkpoint) -> bool:
    """Send its files, the manifest last; False when it was let go of meanwhile, or somebody else sends it.

    StoreError when the store is away, ObjectDamaged for files that are not what was committed.
    """
    prefix = prefix_of(checkpoint.run_id, checkpoint.name)
    try:
        with objects.alone(folder_of(checkpoint)) as is_alone:
            manifest = _put(checkpoint, prefix) if is_alone else None
    except FileNotFoundError:  # let go of, or removed by hand
        _remove(prefix)
        return False
    if manifest is None:
        return False
    found = {"sha256": manifest["files"][FILE]["sha256"], "weights_sha256": manifest.get("weights_sha256")}
    digests = {field: digest if isinstance(digest, str) else "" for field, digest in found.items()}
    if Checkpoint.objects.filter(pk=checkpoint.pk, deleted_at=None).update(stored_at=Now(), **digests):
        return True
    _remove(prefix)
    return False


def _put(checkpoint: Checkpoint, prefix: str) -> dict[str, Any]:
    folder, store = folder_of(checkpoint), objects.store()
    manifest = _manifest((folder / MANIFEST).read_bytes(), checkpoint)
    for name, size, _ in _files(manifest):
        if (folder / name).stat().st_size != size:
            raise ObjectDamaged(f"{folder / name} has another size than its manifest says.")
        store.put(prefix + name, folder / name)
    made = set(checkpoint.made_files.values_list("sha256", flat=True))
    for path in folder.iterdir() if made else ():
        if path.stem in made:
            store.put(prefix + path.name, path)
    store.put(prefix + MANIFEST, folder / MANIFEST)
    return manifest


def send_waiting(sent: Callable[[int], object] = lambda run_pk: None) -> int:
    """Send what this machine has and the store has not, and say of which run; how many. StoreError when it is away."""
    count = 0
    for checkpoint in waiting():
        try:
            if send(checkpoint):
                count += 1
                sent(checkpoint.run_id)
        except ObjectDamaged as error:  # of no use to anybody
            log.warning("%s of run %s is not sent: %s", checkpoint.name, checkpoint.run_id, error)
    return count


def bring(checkpoint: Checkpoint, tell: Tell = lambda size: None) -> Path:
    """Its folder on this machine, fetched if need be. StoreError, or ObjectDamaged for files that are not right.

    `tell` hears how many bytes of a file have come, and may raise to end it.
    """
    folder = folder_of(checkpoint)
    with objects.one_at_a_time(str(folder)):
        if (folder / FILE).is_file():
            with suppress(OSError):
                os.utime(folder)  # what was used lately stays
            return folder
        if not is_stored(checkpoint):
            raise StoreError(
                f"The checkpoint of step {checkpoint.step} is still on its way from the machine that wrote it."
            )
        partial = folder.with_name(PARTIAL + secrets.token_hex(8))
        try:
            _fetch(checkpoint, partial, tell)
            take_place(partial, folder)
        except OSError as error:
            raise StoreError(f"This machine's disk takes no files: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def whole_here(checkpoint: Checkpoint) -> bool:
    """Whether this machine has all of it, as it was committed; reads all of it. A damaged copy is removed."""
    folder = folder_of(checkpoint)
    if not (folder / FILE).is_file():
        return False
    try:
        for name, size, sha256 in _files(_manifest((folder / MANIFEST).read_bytes(), checkpoint)):
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise ObjectDamaged(f"{folder / name} is damaged: it should have {size:,} bytes of its sha256.")
    except (OSError, ValueError, ObjectDamaged) as error:
        log.warning("%s", error)
        if is_stored(checkpoint):
            shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


def bring_made(checkpoint: Checkpoint, name: str, sha256: str) -> Path:
    """A file that was made of the checkpoint for others, on this machine."""
    path = folder_of(checkpoint) / name
    if path.is_file() or not is_stored(checkpoint):
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(PARTIAL + secrets.token_hex(8))
    try:
        _fetch_file(prefix_of(checkpoint.run_id, checkpoint.name) + name, partial, None, sha256, lambda size: None)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def send_made(checkpoint: Checkpoint, path: Path) -> None:
    objects.store().put(prefix_of(checkpoint.run_id, checkpoint.name) + path.name, path)


def remove_made(checkpoint: Checkpoint, names: list[str]) -> None:
    """Files that were made before; best effort, since nobody names them any more."""
    try:
        objects.store().remove(prefix_of(checkpoint.run_id, checkpoint.name) + name for name in names)
    except StoreError as error:
        log.warning("files of %s stay in the store: %s", checkpoint, error)


def remove_due() -> int:
    """Remove from the store the checkpoints that their rows have let go of; how many. For the scheduler."""
    if not objects.is_open():
        return 0
    due = Checkpoint.objects.filter(deleted_at__isnull=False, stored_at__isnull=False).order_by("pk")[:MOST_AT_ONCE]
    count = 0
    for row in due:
        _remove(prefix_of(row.run_id, row.name))
        count += Checkpoint.objects.filter(pk=row.pk, deleted_at__isnull=False).update(stored_at=None)
    return count


def remove_run(run_pk: int) -> int:
    """Remove all that the store has of a run; bytes freed. What a store that is away keeps goes with a later sweep."""
    try:
        return _remove(prefix_of(run_pk))
    except StoreError as error:
        log.warning("files of run %s stay in the store for a later sweep: %s", run_pk, error)
        return 0


def _remove(prefix: str) -> int:
    found = list(objects.store().listed(prefix))
    objects.store().remove(one.key for one in found)
    return sum(one.size_bytes for one in found)


def _fetch(checkpoint: Checkpoint, into: Path, tell: Tell) -> None:
    prefix = prefix_of(checkpoint.run_id, checkpoint.name)
    into.mkdir(parents=True, mode=0o700)
    data, files = manifest_of(checkpoint)
    for name, (size, sha256) in files.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _fetch_file(prefix + name, into / name, size, sha256, tell)
    write_manifest(into, data)


def manifest_of(checkpoint: Checkpoint) -> tuple[bytes, dict[str, tuple[int, str]]]:
    """The manifest that the store has, as it was committed, and bytes and sha256 of each file in it."""
    data = b"".join(objects.store().fetch(prefix_of(checkpoint.run_id, checkpoint.name) + MANIFEST))
    return data, {name: (size, sha256) for name, size, sha256 in _files(_manifest(data, checkpoint))}


def take_place(partial: Path, folder: Path) -> None:
    """A complete folder becomes that of its checkpoint. There may be one with files that were made of it, or with all,
    when another process of this machine was first."""
    with suppress(OSError):
        partial.rename(folder)
        return
    if not (folder / FILE).is_file():
        paths = [path for path in partial.rglob("*") if path.is_file()]
        for path in sorted(paths, key=lambda path: path.name == FILE):  # where that is, the others are
            target = folder / path.relative_to(partial)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.replace(target)


def write_manifest(folder: Path, data: bytes) -> None:
    with (folder / MANIFEST).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _fetch_file(key: str, into: Path, size: int | None, sha256: str, tell: Tell) -> None:
    digest, come = hashlib.sha256(), 0
    with os.fdopen(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for chunk in objects.store().fetch(key):
            digest.update(chunk)
            come += len(chunk)
            file.write(chunk)
            tell(come)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != sha256 or size not in (None, come):
        raise ObjectDamaged(f"The object store has other bytes of {key} than were committed.")


def _manifest(data: bytes, checkpoint: Checkpoint) -> dict[str, Any]:
    if hashlib.sha256(data).hexdigest() != checkpoint.manifest_sha256:
        raise ObjectDamaged(f"The manifest of step {checkpoint.step} is not the one that was committed.")
    found: dict[str, Any] = json.loads(data)
    return found


def _files(manifest: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
    for name, about in manifest["files"].items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ObjectDamaged(f"A manifest names the file {name!r}.")
        yield name, int(about["size_bytes"]), str(about["sha256"])


def _pieces(pks: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(pks), 500):
        yield pks[at : at + 500]
