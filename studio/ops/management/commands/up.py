"""`manage.py up`: the whole studio with one command."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from studio.ops.address import AddressError
from studio.ops.data_dir import DataDirError
from studio.ops.redis_server import RedisServerError
from studio.ops.up import UpError, UpOptions, up


class Command(BaseCommand):
    help = "Start the studio: web, workers, scheduler and, unless STUDIO_REDIS_URL is set, the queue server."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=_port, default=8000, help="port to listen on; 0 for any free one")
        parser.add_argument(
            "--workers", type=_count_or_none, default=default_workers(), help="runs that train at a time"
        )
        parser.add_argument("--web", type=_count, default=1, help="web processes, which share the port")
        parser.add_argument("--data-dir", help="where everything is kept (default: data/ beside manage.py)")
        parser.add_argument(
            "--open",
            action=argparse.BooleanOptionalAction,
            default=None,
            dest="open_browser",
            help="open a browser (default: if there is a desktop)",
        )

    def handle(self, **given: Any) -> None:
        options = UpOptions(**{name: given[name] for name in ("host", "port", "workers", "web", "open_browser")})
        try:
            up(options)
        except (UpError, AddressError, DataDirError, RedisServerError) as error:
            sys.exit(str(error))


def default_workers() -> int:
    """Half of the processors, one at least and four at most: each trains one run at a time."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def _count(text: str) -> int:
    if not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 64")
    return int(text)


def _count_or_none(text: str) -> int:
    """None at all where other machines do the work."""
    return 0 if text == "0" else _count(text)


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 65535")
    return int(text)
