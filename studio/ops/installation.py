"""The processes of one installation and their commands: queue server, web, workers, scheduler."""

from __future__ import annotations

import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from django.conf import settings

from studio.ops import data_dir, redis_server
from studio.ops.children import Child

HTTP_TIMEOUT_S = 3600  # for one whole answer: daphne cuts a download that takes longer; it goes on by Range


def queue_server() -> Child:
    """RedisServerError when there is no program for it."""
    program = redis_server.find_program()

    def command() -> list[str]:
        return [str(program), str(redis_server.prepare())]

    return Child(name="The queue server", kind="redis", command=command, log=_log("redis"), grace_s=10.0)


def web_servers(count: int, listener: socket.socket, environment: dict[str, str]) -> list[Child]:
    """They share one listening socket, which stays open while any of them is started again."""
    domain = ":domain=INET6" if listener.family == socket.AF_INET6 else ""
    command = [sys.executable, "-m", "daphne", "-e", f"fd:fileno={listener.fileno()}{domain}"]
    command += ["--http-timeout", str(HTTP_TIMEOUT_S), "--verbosity", "0", "--no-server-name"]
    command += ["--proxy-headers"] if settings.SECURE_PROXY_SSL_HEADER else []
    command += ["studio.asgi:application"]
    return [
        Child(
            name="The web server" if count == 1 else f"Web server {number}",
            kind="web",
            command=lambda: command,
            log=_log("web" if count == 1 else f"web-{number}"),
            grace_s=5.0,
            environment=environment,
            pass_fds=(listener.fileno(),),
            orphan_signal=signal.SIGKILL,
        )
        for number in range(1, count + 1)
    ]


def workers(count: int, environment: dict[str, str]) -> list[Child]:
    """Workers that run trainings, and one for short jobs such as inspections."""
    labels = {f"worker-{number}": (f"Worker {number}", "runs") for number in range(1, count + 1)}
    labels["control"] = ("The control worker", "control")
    return [
        Child(
            name=label,
            kind="worker",
            command=partial(_worker_command, short, queue),
            log=_log(short),
            grace_s=settings.CANCEL_LIMIT_S,
            environment=environment,
        )
        for short, (label, queue) in labels.items()
    ]


def _worker_command(short: str, queue: str) -> Sequence[str]:
    """A name is used once: that of a killed worker stays taken for minutes."""
    name = f"{socket.gethostname()}-{short}-{secrets.token_hex(3)}"
    return _manage("studio_worker", "--queues", queue, "--name", name)


def scheduler(environment: dict[str, str]) -> Child:
    return Child(
        name="The scheduler",
        kind="scheduler",
        command=lambda: _manage("scheduler"),
        log=_log("scheduler"),
        grace_s=10.0,
        environment=environment,
    )


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]


def _log(name: str) -> Path:
    return data_dir.logs_dir() / f"{name}.log"
