"""A logger of the studio on a folder, and what it wrote: records with the bytes of their items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer_core.events import EVENT, MEDIA, SpoolWriter, read_spool
from trainer_core.loggers.spool import SpoolLogger


def spool_logger(folder: Path) -> SpoolLogger:
    return SpoolLogger(SpoolWriter(folder / "spool"))


def records(folder: Path) -> list[dict[str, Any]]:
    """Every media record; the bytes of each item as `data`, which are those of its digest."""
    found = []
    for frame in read_spool(folder / "spool"):
        if frame.type == MEDIA:
            record = json.loads(frame.payload)
            for item in record["items"]:
                item["data"] = (folder / "media" / item["sha256"]).read_bytes()
                assert hashlib.sha256(item["data"]).hexdigest() == item["sha256"]
                assert len(item["data"]) == item["size"]
            found.append(record)
    return found


def notices(folder: Path) -> list[str]:
    events = [f.event() for f in read_spool(folder / "spool") if f.type == EVENT]
    return [e["text"] for e in events if e["kind"] == "notice"]


def logged(folder: Path, act: Callable[[SpoolLogger], Any]) -> list[dict[str, Any]]:
    """The records of a logger with which `act` was done, after its end."""
    logger = spool_logger(folder)
    try:
        act(logger)
    finally:
        logger.close()
    return records(folder)
