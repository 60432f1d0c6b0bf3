"""Writing and reading checkpoint files so that a crash at any moment leaves the old or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer_core.checkpoint import fs
from trainer_core.errors import CheckpointError

FILE = "checkpoint.ckpt"
MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: hex sha256 and size."""

    sha256: str
    size_bytes: int


class _HashingFile:
    """Hashes what is written and passes it on in large pieces; not seekable, so that the writer goes straight through."""

    def __init__(self, handle: int) -> None:
        self._handle, self._hash, self.size_bytes = handle, hashlib.sha256(), 0
        self._waiting = bytearray()

    def write(self, data: Any) -> int:
        self._hash.update(data)
        size = memoryview(data).nbytes
        self.size_bytes += size
        if size >= PIECE_BYTES:
            self.flush()
            fs.write(self._handle, data)
        else:
            self._waiting += data
            if len(self._waiting) >= PIECE_BYTES:
                self.flush()
        return size

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            fs.write(self._handle, waiting)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def write_file(path: str | Path, checkpoint: dict[str, Any]) -> Written:
    """Write `checkpoint` to `path`: temporary file, fsync, rename, fsync of the folder. Costs one pass of sha256."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{path.name}"
    try:
        written = _write_synced(temporary, checkpoint)
        fs.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fs.sync_folder(path.parent)
    return written


def write_folder(folder: str | Path, checkpoint: dict[str, Any], extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write `folder/{checkpoint.ckpt, manifest.json}` under a temporary name and rename it; returns the manifest.

    The manifest holds the sha256 and size of the file and `extra`. CheckpointError when `folder` exists already.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        raise CheckpointError(f"{folder} exists already; a checkpoint folder is never overwritten.")
    temporary = folder.parent / f"{TEMPORARY}{uuid.uuid4().hex[:12]}-{folder.name}"
    try:
        fs.make_folder(temporary)
        written = _write_synced(temporary / FILE, checkpoint)
        manifest = {
            "format": 1,
            "files": {FILE: {"sha256": written.sha256, "size_bytes": written.size_bytes}},
            "epoch": int(checkpoint.get("epoch", 0)),
            "global_step": int(checkpoint.get("global_step", 0)),
            **(extra or {}),
        }
        _write_text(temporary / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
        fs.sync_folder(temporary)
        fs.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fs.sync_folder(folder.parent)
    return manifest


def verify_folder(folder: str | Path, manifest_sha256: str | None = None) -> dict[str, Any]:
    """The manifest of a checkpoint folder whose files all have the stated size and sha256; CheckpointError otherwise.

    With `manifest_sha256`, as it was committed, a manifest that was changed is found out too.
    """
    folder = Path(folder)
    try:
        data = (folder / MANIFEST).read_bytes()
        if manifest_sha256 is not None and hashlib.sha256(data).hexdigest() != manifest_sha256:
            raise CheckpointError(f"The manifest of {folder} is damaged: its sha256 is not the one that was committed.")
        manifest = json.loads(data)
        files = [(folder / name, int(e["size_bytes"]), str(e["sha256"])) for name, e in manifest["files"].items()]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{folder} has no readable manifest: {error}.") from error
    if not any(path == folder / FILE for path, _, _ in files):
        raise CheckpointError(f"The manifest of {folder} does not name {FILE}.")
    for path, size_bytes, sha256 in files:
        if not path.is_file() or path.stat().st_size != size_bytes:
            raise CheckpointError(f"{path} is missing or has another size than its manifest says.")
        if sha256_of(path) != sha256:
            raise CheckpointError(f"{path} is damaged: its sha256 is not that of its manifest.")
    return dict(manifest)


def sha256_of(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, checkpoint: dict[str, Any]) -> Written:
    handle = fs.create(path)
    try:
        hashing = _HashingFile(handle)
        torch.save(checkpoint, hashing)  # type: ignore[arg-type]
        hashing.flush()
        fs.sync(handle)
    finally:
        fs.close(handle)
    return Written(hashing.hexdigest(), hashing.size_bytes)


def _write_text(path: Path, text: str) -> None:
    handle = fs.create(path)
    try:
        fs.write(handle, text.encode())
        fs.sync(handle)
    finally:
        fs.close(handle)


def read_file(path: Any, *, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
    """Load a checkpoint out of a file, a checkpoint folder or an open file.

    Only tensors and plain values, unless `weights_only=False` says that the file is trusted.

    CheckpointError when it is missing, damaged, or holds other objects.
    """
    if hasattr(path, "read"):
        return torch.load(path, map_location=map_location, weights_only=weights_only is not False)  # type: ignore[no-any-return]
    path = Path(path)
    if path.is_dir() and (path / FILE).is_file():
        path = path / FILE
    if not path.is_file():
        raise CheckpointError(f"Checkpoint file not found: {path}.")
    try:
        return torch.load(path, map_location=map_location, weights_only=weights_only is not False)  # type: ignore[no-any-return]
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = ""
        if "weights_only" in str(error) or "Unsupported" in str(error):
            hint = " If you trust the file, load it with weights_only=False."
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {text}{hint}") from error


class CheckpointIO:
    """How a strategy writes, reads and removes checkpoints; subclass it to use another store."""

    def __init__(self) -> None:
        #: What the last save wrote; None before the first.
        self.last_written: Written | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if storage_options is not None:
            raise TypeError("storage_options: this checkpoint store takes none.")
        self.last_written = write_file(path, checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_file(path, map_location=map_location, weights_only=weights_only)

    def remove_checkpoint(self, path: str | Path) -> None:
        path = Path(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def wait(self) -> None:
        """Return when everything is written."""

    def teardown(self) -> None:
        """Wait for writes that are under way."""
