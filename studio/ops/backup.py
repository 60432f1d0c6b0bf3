"""One tar file with all that cannot be made again: database, secret key, blobs, checkpoints; and back from it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from studio.core import blobs, objects, shared_blobs
from studio.runs import shared_checkpoints

DATABASE, SECRET = "studio.sqlite3", "secret_key"
FOLDERS = ("blobs", "runs")
_ALLOWED = {DATABASE, SECRET, *FOLDERS}


class BackupError(Exception):
    """The backup cannot be made or brought back; the text says why and what to do."""


def back_up(target: Path) -> int:
    """Write the backup, also while the studio runs; returns its size in bytes.

    The database is copied first, by SQLite's own online copy: files that it names are written before it names them and
    never changed, so each of them is there. A file that retention removes meanwhile is left out. With an object store, the
    backup has of the files only those that wait to be sent there.
    """
    _sqlite_only()
    if target.exists():
        raise BackupError(f"{target} exists already. Name another file.")
    partial = target.with_name(f".{target.name}.partial")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            copy = Path(scratch) / DATABASE
            _copy_database(settings.DATA_DIR / DATABASE, copy)
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(copy, DATABASE)
                if (settings.DATA_DIR / SECRET).exists():
                    tar.add(settings.DATA_DIR / SECRET, SECRET)
                for path in _waiting() if objects.is_open() else _all():
                    _add(tar, path)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise BackupError(f"{target} cannot be written: {error.strerror}. Name another file.") from error
    return target.stat().st_size


def bring_back(source: Path) -> None:
    """Fill an empty data directory from a backup; BackupError if it has a database already or the file is no backup."""
    _sqlite_only()
    if (settings.DATA_DIR / DATABASE).exists():
        raise BackupError(f"{settings.DATA_DIR} has a database already. Choose an empty directory with --data-dir.")
    try:
        with tarfile.open(source) as tar:
            names = {member.name.split("/")[0] for member in tar}
            if DATABASE not in names or not names <= _ALLOWED:
                raise BackupError(f"{source} is not a backup of a studio.")
            tar.extractall(settings.DATA_DIR, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{source} cannot be read: {error}") from error
    with sqlite3.connect(settings.DATA_DIR / DATABASE) as database:
        answer = database.execute("PRAGMA integrity_check").fetchone()[0]
    if answer != "ok":
        raise BackupError(f"The database of {source} is damaged: {answer}")


def _sqlite_only() -> None:
    if connection.vendor != "sqlite":
        raise BackupError(
            "This studio keeps its data in PostgreSQL: use pg_dump, and copy the data directory, or the object store that has its files."
        )


def _copy_database(path: Path, to: Path) -> None:
    if not path.exists():
        raise BackupError(f"There is no database in {settings.DATA_DIR}. Choose another directory with --data-dir.")
    source, target = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True), sqlite3.connect(to)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()


def _all() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((settings.DATA_DIR / folder).rglob("*"))


def _waiting() -> Iterator[Path]:
    """What an object store has not got yet."""
    yield from (path for _, path in shared_blobs.waiting(blobs.path_of))
    for checkpoint in shared_checkpoints.waiting():
        yield from sorted(shared_checkpoints.folder_of(checkpoint).rglob("*"))


def _add(tar: tarfile.TarFile, path: Path) -> None:
    relative = path.relative_to(settings.DATA_DIR)
    unfinished = any(part.startswith(".tmp") for part in relative.parts)
    if path.is_file() and not path.is_symlink() and not unfinished:
        with contextlib.suppress(FileNotFoundError):
            tar.add(path, str(relative), recursive=False)
