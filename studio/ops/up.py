"""Brings one installation up: data directory, queue server, database, web, workers, scheduler; then watches it."""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from studio.accounts.links import make_login_link
from studio.ops import data_dir, installation, redis_server, schema
from studio.ops.address import allowed_hosts, health_status, listen, public_url
from studio.ops.children import Child
from studio.ops.redis_server import RedisServerError
from studio.ops.supervisor import Supervisor
from studio.runs import add_worker

READY_LIMIT_S = 60.0
ERRORS_LIMIT_S = 3.0  # a web server that answers with errors for so long will not get better


class UpError(Exception):
    """The studio cannot be brought up; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    host: str
    port: int
    workers: int
    web: int
    open_browser: bool | None  # None: if there is a terminal and a desktop


def up(options: UpOptions) -> None:
    """Run until a signal asks to stop; UpError, AddressError, DataDirError or RedisServerError if it cannot start."""
    began = time.monotonic()
    data_dir.make_private()
    with data_dir.exclusively("up") as lock, listen(options.host, options.port) as listener:
        with Supervisor(_say) as supervisor:
            url = public_url(options.host, listener.getsockname()[1])
            if _start(supervisor, options, listener, url):
                lock.tell(url=url)
                _greet(url, time.monotonic() - began, options.open_browser)
                supervisor.run()
        _say("Stopped.")


def _start(supervisor: Supervisor, options: UpOptions, listener: socket.socket, url: str) -> bool:
    """Start everything and wait until pages are served; False if a signal came first."""
    server = None
    if not settings.EXTERNAL_REDIS_URL:
        redis_server.end_leftover()
        supervisor.add(server := installation.queue_server())
    prepare_database()
    add_worker.write_environment(url)
    environment = {
        "STUDIO_DATA_DIR": str(settings.DATA_DIR),
        "STUDIO_PUBLIC_URL": url,
        "STUDIO_ALLOWED_HOSTS": ",".join(allowed_hosts(options.host)),
        "PYTHONUNBUFFERED": "1",
    }
    web = installation.web_servers(options.web, listener, environment)
    for child in web:
        supervisor.add(child)
    if not _wait_for_redis(supervisor, server):
        return False
    for child in (*installation.workers(options.workers, environment), installation.scheduler(environment)):
        supervisor.add(child)
    return _wait_for_web(supervisor, web[0], options.host, listener.getsockname()[1])


def prepare_database() -> None:
    """Migrate if anything is to be migrated, then enter the built-in models and datasets."""
    try:
        schema.bring_up_to_date()
    except DatabaseError as error:
        raise UpError(f"The database cannot be used: {str(error).strip()} Look with: manage.py doctor") from error
    if sync := getattr(importlib.import_module("studio.registry.builtin"), "sync_builtins", None):
        sync()
    connection.close()


def _wait_for_redis(supervisor: Supervisor, server: Child | None) -> bool:
    """False when a signal came first. A server that cannot read its files gets empty ones: the database has the truth."""
    if server is None:
        if not redis_server.answers(timeout_s=5.0):
            raise UpError("The server of STUDIO_REDIS_URL does not answer. Start it, or unset STUDIO_REDIS_URL.")
        return True
    for attempt in ("with its files", "without"):
        deadline = time.monotonic() + READY_LIMIT_S
        server.failures = 0

        def settled(deadline: float = deadline) -> bool:
            return redis_server.answers() or server.failures > 3 or time.monotonic() > deadline

        if not supervisor.run(settled, poll_s=0.02):
            return False
        if redis_server.answers():
            return True
        if attempt == "with its files":
            aside = redis_server.set_aside_data()
            _say(f"The queue server cannot read its files; they are now in {aside}. Queued runs are in the database.")
    raise RedisServerError(f"The queue server does not start: {server.last_words() or 'no message'} See {server.log}")


def _wait_for_web(supervisor: Supervisor, web: Child, host: str, port: int) -> bool:
    """False when a signal came first; UpError when pages are not served in time, or are errors for some seconds."""
    began, first_answer = time.monotonic(), 0.0

    def settled() -> bool:
        nonlocal first_answer
        status, now = health_status(host, port), time.monotonic()
        first_answer = first_answer or (now if status else 0.0)
        broken = bool(first_answer) and now - first_answer > ERRORS_LIMIT_S
        return status == 200 or broken or web.failures > 2 or now - began > READY_LIMIT_S

    if not supervisor.run(settled, poll_s=0.05):
        return False
    if health_status(host, port) != 200:
        raise UpError(f"The web server does not start: {web.last_words() or 'it does not answer.'} See {web.log}")
    return True


def _greet(url: str, seconds: float, open_browser: bool | None) -> None:
    link = f"{url}/login/link/{make_login_link()}/"
    connection.close()
    _say(f"The studio is ready after {seconds:.1f} s; its data is in {Path(settings.DATA_DIR)}.")
    _say(f"\n    {link}\n")
    _say("This link logs you in, once. Ctrl-C stops everything.")
    if open_browser or (open_browser is None and sys.stdout.isatty() and _has_window()):
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(link)


def _has_window() -> bool:
    """Whether there is a browser with a window; one in the terminal would cover this very text."""
    try:
        return type(webbrowser.get()) is not webbrowser.GenericBrowser
    except webbrowser.Error:
        return False


def _say(text: str) -> None:
    """A terminal that has gone away is no reason to end."""
    with contextlib.suppress(OSError):
        print(text, flush=True)
