"""The real files of a test's studio: counted without the code that is tested, and made as old as a test needs them."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings


def on_disk() -> int:
    """Bytes of all files of blobs, uploads and runs, each inode once: what `du --apparent-size` counts of files."""
    found = {}
    for root in (settings.BLOBS_DIR, settings.UPLOADS_DIR, settings.RUNS_DIR):
        for folder, _, names in os.walk(root):
            for name in names:
                status = os.lstat(os.path.join(folder, name))
                found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


def make_old(path: Path | None = None, *, age_s: float = 7200.0) -> None:
    """A file, or all blobs, as if they had been put so long ago."""
    then = time.time() - age_s
    for one in [path] if path else Path(settings.BLOBS_DIR).glob("??/*"):
        with suppress(FileNotFoundError):  # swept meanwhile
            os.utime(one, (then, then))
