"""A studio comes back from its backup, byte for byte."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from studio.ops.backup import BackupError, back_up, bring_back
from studio.ops.data_dir import up_command


@pytest.fixture
def studio(tmp_path: Path, settings: Any) -> Path:
    """A data directory with a database in WAL mode that is open and has rows not yet in its main file."""
    return use(tmp_path / "old", settings)


def use(directory: Path, settings: Any) -> Path:
    directory.mkdir()
    settings.DATA_DIR = directory
    return directory


def test_a_backup_brings_everything_back(studio: Path, tmp_path: Path, settings: Any) -> None:
    database = sqlite3.connect(studio / "studio.sqlite3")
    database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (42);")
    for name in ("secret_key", "blobs/ab/abcd", "runs/1/checkpoints/step-00000001-f1/checkpoint.ckpt"):
        (studio / name).parent.mkdir(parents=True, exist_ok=True)
        (studio / name).write_bytes(name.encode())
    (studio / "runs/1/checkpoints/.tmp-2").mkdir()
    (studio / "runs/1/checkpoints/.tmp-2/half").write_bytes(b"half")
    size = back_up(tmp_path / "backup.tar")
    assert size > 0
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == 0o600
    new = use(tmp_path / "new", settings)
    bring_back(tmp_path / "backup.tar")
    assert sqlite3.connect(new / "studio.sqlite3").execute("SELECT x FROM t").fetchall() == [(42,)]
    assert (new / "blobs/ab/abcd").read_bytes() == b"blobs/ab/abcd"
    assert (new / "secret_key").read_bytes() == b"secret_key"
    assert not (new / "runs/1/checkpoints/.tmp-2").exists()
    with pytest.raises(BackupError, match="has a database already"):
        bring_back(tmp_path / "backup.tar")
    database.close()


def test_a_backup_never_overwrites(studio: Path, tmp_path: Path) -> None:
    sqlite3.connect(studio / "studio.sqlite3").close()
    (tmp_path / "there").write_text("")
    with pytest.raises(BackupError, match="exists already"):
        back_up(tmp_path / "there")
    with pytest.raises(BackupError, match="cannot be written"):
        back_up(tmp_path / "there" / "backup.tar")


def test_without_a_database_there_is_nothing_to_back_up(studio: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no database"):
        back_up(tmp_path / "backup.tar")


@pytest.mark.parametrize("names", [["other"], ["studio.sqlite3", "../outside"], ["studio.sqlite3", "/etc/x"]])
def test_a_foreign_archive_is_refused(studio: Path, tmp_path: Path, names: list[str]) -> None:
    with tarfile.open(tmp_path / "foreign.tar", "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(BackupError):
        bring_back(tmp_path / "foreign.tar")
    assert not (tmp_path / "outside").exists()


def test_something_else_than_an_archive_is_refused(studio: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(BackupError, match="cannot be read"):
        bring_back(tmp_path / "text")


def test_what_was_restored_elsewhere_is_started_there(tmp_path: Path, settings: Any) -> None:
    assert up_command().endswith(f"up --data-dir {settings.DATA_DIR}")
    use(tmp_path / "my data", settings)
    assert up_command() == f"python manage.py up --data-dir '{tmp_path}/my data'"
    settings.DATA_DIR = settings.BASE_DIR / "data"
    assert up_command() == "python manage.py up"
