"""What a download of a checkpoint reads: the file on this machine, or the store's object, a copy of which is made beside.

The first byte goes out without waiting for the last one. A small file is fetched, as for a run. All raise StoreError when
the store is away or gives what was not committed.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from studio.core import objects
from studio.core.stored_files import SMALL_BYTES, Copy, StoredFile
from studio.runs import checkpoints, packs, shared_checkpoints
from studio.runs.models import Checkpoint, CheckpointFile
from studio.runs.shared_checkpoints import FILE, PARTIAL


def source_of(checkpoint: Checkpoint) -> Path | StoredFile:
    """Of the file of weights and state. One request for the manifest, which was committed and says what the file is."""
    path = checkpoints.path_of(checkpoint)
    is_far = objects.is_open() and checkpoint.deleted_at is None and not path.is_file()
    if not is_far or checkpoint.size_bytes <= SMALL_BYTES or not shared_checkpoints.is_stored(checkpoint):
        return checkpoints.bring(checkpoint)
    data, files = shared_checkpoints.manifest_of(checkpoint)
    size, sha256 = files[FILE]
    key = shared_checkpoints.prefix_of(checkpoint.run_id, checkpoint.name) + FILE
    # One of several files is no checkpoint without the others.
    return StoredFile(key, size, sha256, (lambda: _copy_of(path.parent, data)) if len(files) == 1 else None)


def source_of_made(made: CheckpointFile) -> Path | StoredFile:
    """Of a file that was made of a checkpoint for others. No request: its row says what it is."""
    path, checkpoint = packs.place_of(made), made.checkpoint
    is_far = shared_checkpoints.is_stored(checkpoint) and not path.is_file()
    if not is_far or made.size_bytes <= SMALL_BYTES:
        return packs.bring(made)
    key = shared_checkpoints.prefix_of(checkpoint.run_id, checkpoint.name) + path.name
    return StoredFile(key, made.size_bytes, made.sha256, lambda: _copy_beside(path))


def _copy_of(folder: Path, manifest: bytes) -> Copy:
    partial = folder.with_name(PARTIAL + secrets.token_hex(8))
    partial.mkdir(parents=True, mode=0o700)

    def settle() -> None:
        shared_checkpoints.write_manifest(partial, manifest)
        shared_checkpoints.take_place(partial, folder)

    return Copy(partial / FILE, settle, lambda: shutil.rmtree(partial, ignore_errors=True))


def _copy_beside(path: Path) -> Copy:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(PARTIAL + secrets.token_hex(8))
    return Copy(partial, lambda: os.replace(partial, path), lambda: partial.unlink(missing_ok=True))
