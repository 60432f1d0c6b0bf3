"""Files of media that a program elsewhere sends ahead of the records that name them: RUNS_DIR/<run>/media/<sha256>.

They wait there until their record comes and takes them over (`tracking.media.adopt`), or until the run ends.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from studio.runs.errors import StaleState
from studio.runs.external import extend
from studio.tracking.models import Media
from trainer_core.events import MAX_MEDIA_BYTES, MOST_MEDIA_ITEMS

MOST_WAITING_BYTES = MOST_MEDIA_ITEMS * MAX_MEDIA_BYTES  # what one record can name
GONE = "Another program has gone on with this run, or it has ended; what this one logs is not taken."


class WrongFile(ValueError):
    """The bytes are not those of the name, or there are too many of them; says what is allowed."""


def folder_of(run_pk: int) -> Path:
    return Path(settings.RUNS_DIR) / str(run_pk) / "media"


def missing(run_pk: int, fence: int, files: Mapping[str, int]) -> list[str]:
    """Those of the files (sha256 to bytes) that the run has not got, in their order; keeps its lease.

    StaleState when another attempt has the run. Two queries.
    """
    _keep_lease(run_pk, fence)
    kept = set(Media.objects.filter(run_id=run_pk, sha256__in=files).values_list("sha256", flat=True))
    folder = folder_of(run_pk)
    return [name for name, size in files.items() if name not in kept and _size(folder / name) != size]


def take_file(run_pk: int, fence: int, sha256: str, data: bytes) -> None:
    """Keep it until its record comes; the same one again changes nothing. It is whole or not there at all.

    WrongFile for other bytes than its name says, and when too many wait already; StaleState as of `missing`.
    """
    if len(data) > MAX_MEDIA_BYTES:
        raise WrongFile(f"A file of {len(data):,} bytes; at most {MAX_MEDIA_BYTES:,} are kept of one.")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WrongFile("The bytes are not those of the sha256 in the address. Send the file again.")
    _keep_lease(run_pk, fence)
    folder = folder_of(run_pk)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    waiting = sum(_size(path) for path in folder.iterdir())
    if waiting + len(data) > MOST_WAITING_BYTES:
        raise WrongFile(
            f"{waiting:,} bytes of this run wait for their records; at most {MOST_WAITING_BYTES:,} may. Send the spool first."
        )
    temporary = folder / f".{sha256}-{secrets.token_hex(4)}"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / sha256)
    finally:
        temporary.unlink(missing_ok=True)


def forget(run_pk: int) -> None:
    """Nothing more comes: what waits is named by nobody."""
    shutil.rmtree(folder_of(run_pk), ignore_errors=True)


def _keep_lease(run_pk: int, fence: int) -> None:
    if not extend(run_pk, fence):
        raise StaleState(GONE)


def _size(path: Path) -> int:
    """Bytes; -1 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
