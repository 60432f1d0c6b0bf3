"""The few operations by which files of a checkpoint come to be: the only place where they are written.

Tests record them and cut the power between any two, so whatever makes a checkpoint last has to go through here.
"""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    os.mkdir(path)


def create(path: Path) -> int:
    """A new file, open for writing; FileExistsError when there is one."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def write(handle: int, data: bytes | bytearray | memoryview) -> None:
    """All of `data`, however many calls that takes."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(handle, view) :]


def sync(handle: int) -> None:
    """What was written to the file survives a power cut."""
    os.fsync(handle)


def close(handle: int) -> None:
    os.close(handle)


def rename(old: Path, new: Path) -> None:
    """`new` is replaced in one step when it is a file."""
    os.replace(old, new)


def sync_folder(folder: Path) -> None:
    """The names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
