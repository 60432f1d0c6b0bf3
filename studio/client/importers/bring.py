"""Brings a run that was found into the studio, through the same interface as programs that log; twice changes nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from studio.client.connection import Connection
from studio.client.errors import StudioError
from studio.client.external import plain_config
from studio.client.folder import AttemptFolder, RunFolder
from studio.client.importers.found import Found
from studio.client.importers.found_media import record_of
from studio.client.machine import host_facts
from studio.client.sender import Sender
from trainer_core.events import EVENT, MEDIA, METRICS, SpoolWriter, encode_event

ALL_AGAIN = -1  # a step before all: what an import that broke off had of other files counts no more


@dataclass(frozen=True)
class Brought:
    """`page` is the address of the run; `is_new` is False when it was there already."""

    name: str
    page: str
    points: int
    is_new: bool


def bring(connection: Connection, found: Found, *, kind: str, project: int, again: bool = False) -> Brought:
    """All of it, exactly once. An import that broke off goes on. StudioError when the run is there and its source has
    changed since; with `again` that becomes another run."""
    with TemporaryDirectory(prefix="studio-import-") as temporary:
        spool = Path(temporary) / "spool"
        points = _write(found, spool)
        digest = _digest(found, spool)
        identity = f"{kind}\n{project}\n{found.identity}" + (f"\n{digest}" if again else "")
        mark = f"Imported from {kind}, sha256 {digest[:16]}."
        where = RunFolder.create(
            Path(temporary) / "run",
            {
                "key": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest(),
                "project": project,
                "name": found.name[:120],
                "config": plain_config(found.config),
                "tags": list(dict.fromkeys(t[:60] for t in found.tags if t))[:100],
                "note": f"{found.note}\n\n{mark}".strip()[-10_000:],
                "started": found.started,
            },
        )
        sender = Sender(connection, where, again=True)
        told = connection.get(f"/runs/{sender.run_id()}")
        if told["outcome"] not in ("", "lost"):
            if mark in told["note"]:
                return Brought(told["name"], told["url"], points, False)
            raise StudioError(
                f"{found.name}: it was imported before, as {told['url']}, and its source has changed since. "
                "With --again it becomes another run.",
                code="changed",
            )
        host = {**host_facts(), "program": f"import {kind}"}
        attempt = AttemptFolder.create(where.path / "a1", host, found.started or 0.0, key=digest)
        spool.rename(attempt.spool)
        if (media := spool.parent / "media").exists():
            media.rename(attempt.path / "media")
        sender.send()
        return Brought(told["name"], told["url"], points, True)


def _write(found: Found, spool: Path) -> int:
    """The same bytes whenever the source is the same."""
    writer, points = SpoolWriter(spool), 0
    writer.write((EVENT, encode_event("ready", {"t": found.started, "resume_step": ALL_AGAIN})))
    last = None
    for block in found.blocks():
        points += len(block) * len(block.names)
        last = max(int(max(block.steps)), last if last is not None else int(block.steps[0]))
        writer.write((METRICS, block.encode()))
    for one in found.media():
        if (record := record_of(one, writer.media_folder)) is not None:
            writer.write((MEDIA, record))
    if last is not None:
        writer.write((EVENT, encode_event("progress", {"t": found.ended, "step": last})))
    writer.write((EVENT, encode_event("done", {"t": found.ended, "outcome": found.outcome, "reason": found.reason})))
    writer.close()
    return points


def _digest(found: Found, spool: Path) -> str:
    whole = hashlib.sha256(json.dumps(plain_config(found.config), sort_keys=True).encode())
    for path in sorted(spool.iterdir()):
        with open(path, "rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
