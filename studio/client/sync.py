"""Sends what programs left behind: those that were offline, killed, or ended before the studio had all of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from studio.client.connection import Connection
from studio.client.errors import NotReached, StudioError
from studio.client.folder import InUse, RunFolder, run_folders
from studio.client.sender import Sender

log = logging.getLogger("studio.client")
DIED = {"outcome": "died", "reason": "The program that logged it ended without a word."}


@dataclass(frozen=True)
class Synced:
    """What became of a folder: `is_whole` when all of it is in the studio; `words` say why not, or what was done."""

    path: Path
    is_whole: bool
    words: str


def sync(connection: Connection, folder: Path, *, again: bool = True) -> Iterator[Synced]:
    """Send each run below `folder`; NotReached when the studio does not answer."""
    for where in run_folders(folder):
        try:
            yield _sync_one(connection, where, again=again)
        except InUse:
            yield Synced(where.path, False, "another process is sending it")
        except NotReached:
            raise
        except StudioError as error:
            yield Synced(where.path, False, str(error))


def _sync_one(connection: Connection, where: RunFolder, *, again: bool) -> Synced:
    if where.attempts() and all(attempt.is_sent for attempt in where.attempts()):
        return Synced(where.path, True, "is in the studio")
    with where.locked("sender"):
        sender = Sender(connection, where, again=again)
        with suppress(InUse), where.locked("writer"):  # else its program runs, offline
            for attempt in where.attempts():
                if not attempt.is_sent and not attempt.is_ended():
                    attempt.end(t=attempt.touched, **DIED)
        is_whole = sender.send()
        page = where.told.get("page") or ""
        return Synced(where.path, is_whole, f"{sender.sent_bytes:,} bytes sent {page}".strip())


def sync_others(connection: Connection, own: Path) -> None:
    """In the background, those beside a run that begins now and meant for the same studio."""

    def send() -> None:
        try:
            for where in run_folders(own.parent):
                if where.path != own and where.told.get("url") == connection.url:
                    try:
                        _sync_one(connection, where, again=False)
                    except InUse:
                        continue
                    except StudioError as error:
                        log.info("%s: %s", where.path, error)
        except Exception:  # the program goes on, whatever it is
            log.exception("what lies in %s was not sent", own.parent)

    threading.Thread(target=send, name="studio-sync", daemon=True).start()
