"""Brings the files that records of a spool name into the studio, ahead of the records; each travels once."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from struct import Struct

from studio.client.connection import Connection
from trainer_core.errors import SpoolError
from trainer_core.events import HEAD, MEDIA, Position, frames_of

log = logging.getLogger("studio.client")
MOST_BYTES, MOST_FILES = 8 << 20, 1000  # for one piece of a spool, unless one record has more
_LENGTH = Struct("<I")
Files = dict[str, int]  # sha256 to bytes


def portion_of(piece: bytes, at: Position) -> tuple[bytes, Files]:
    """The first whole frames of a piece, until their files are MOST_FILES or have MOST_BYTES, and these files."""
    if not _has_media(piece):
        return piece, {}
    files: Files = {}
    end = size = 0
    try:
        for frame in frames_of(piece, at):
            if frame.type == MEDIA:
                own = files_of(frame.payload)
                size += sum(own[name] for name in own.keys() - files.keys())
                if files and (size > MOST_BYTES or len(files) >= MOST_FILES):
                    return piece[:end], files
                files |= own
            end = frame.after.offset - at.offset
    except SpoolError:  # the studio says what is to be done about damage
        pass
    return piece, files


def files_of(record: bytes) -> Files:
    """Those that a record names; none for one that cannot be read, which the studio then says."""
    try:
        return {str(item["sha256"]): int(item["size"]) for item in json.loads(record)["items"]}
    except (ValueError, KeyError, TypeError):
        return {}


def bring_files(connection: Connection, run_id: int, attempt: int, folder: Path, files: Mapping[str, int]) -> int:
    """Send those that the studio has not got; how many bytes. StudioError and NotReached as of any request.

    One that is missing on this disk is left out: the studio tells it when its record comes.
    """
    given = {"attempt": attempt, "files": [{"sha256": name, "size": size} for name, size in files.items()]}
    sent = 0
    for name in connection.create(f"/external-runs/{run_id}/media", given)["missing"]:
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            log.warning("A file of media is left out, since it cannot be read: %s.", error)
            continue
        connection.put(f"/external-runs/{run_id}/media/{name}", data, headers={}, attempt=attempt)
        sent += len(data)
    return sent


def _has_media(piece: bytes) -> bool:
    at = 0
    while at + HEAD.size < len(piece):
        if piece[at + HEAD.size] == MEDIA:
            return True
        at += HEAD.size + _LENGTH.unpack_from(piece, at)[0]
    return False
