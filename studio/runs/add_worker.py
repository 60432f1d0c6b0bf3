"""The commands that add a worker, as they can be copied: on this machine, and on another one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

ENVIRONMENT = "worker.env"
OWN = ("", "127.0.0.1", "localhost", "::1")


def environment_file() -> Path:
    """What a worker needs to know, for a shell; private, as it may hold the passwords of database and queue."""
    return Path(settings.DATA_DIR) / ENVIRONMENT


def write_environment(public_url: str) -> None:
    """Keep it in the data directory, which every worker shares unless there is an object store: then the file is copied
    to their machines, and each has a data directory of its own. `public_url` is where people reach the studio."""
    key = Path(settings.DATA_DIR) / "secret_key"
    kept = key.exists() and key.read_text(encoding="ascii").strip() == settings.SECRET_KEY
    values = {
        "STUDIO_DATA_DIR": "" if settings.OBJECT_STORE else str(settings.DATA_DIR),
        "STUDIO_DATABASE_URL": settings.DATABASE_URL,
        "STUDIO_REDIS_URL": settings.EXTERNAL_REDIS_URL,
        "STUDIO_SECRET_KEY": "" if kept and not settings.OBJECT_STORE else settings.SECRET_KEY,
        "STUDIO_PUBLIC_URL": public_url,
        "STUDIO_DATA_STORES": settings.DATA_STORES,
        "STUDIO_OBJECT_STORE": settings.OBJECT_STORE,
        "STUDIO_HUNG_AFTER_S": str(settings.HUNG_AFTER_S),
    }
    path = environment_file()
    path.touch(mode=0o600)
    path.chmod(0o600)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items() if value]
    path.write_text("".join(lines), encoding="utf-8")


def commands() -> dict[str, str]:
    """For this machine, and for another with a checkout of its own and the same data directory, or with an object store a
    copy of the file of variables."""
    source = f". {shlex.quote(str(environment_file()))}"
    here = shlex.join([sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "studio_worker", "--queues", "runs"])
    there = f". ./{ENVIRONMENT}" if settings.OBJECT_STORE else source
    return {"here": f"{source} && {here}", "elsewhere": f"{there} && python manage.py studio_worker --queues runs"}


def reach() -> list[str]:
    """What keeps workers on other machines away, in words; nothing when they can work."""
    missing = []
    database = settings.DATABASES["default"]
    if "sqlite" in str(database["ENGINE"]):
        missing.append("a PostgreSQL database (STUDIO_DATABASE_URL), since SQLite is a file of this machine")
    elif str(database["HOST"]) in OWN or str(database["HOST"]).startswith("/"):
        missing.append("an address of the database that other machines reach, not this machine's own")
    url = urlsplit(settings.EXTERNAL_REDIS_URL)
    if url.scheme not in ("redis", "rediss"):
        missing.append("a queue server with an address (STUDIO_REDIS_URL), since the built-in one has none")
    elif url.hostname in OWN:
        missing.append("an address of the queue server that other machines reach, not this machine's own")
    return missing
