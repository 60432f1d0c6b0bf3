"""`manage.py backup FILE`: everything that cannot be made again, in one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from studio.core import objects
from studio.ops.backup import BackupError, back_up


class Command(BaseCommand):
    help = "Write database, secret key, files and checkpoints into one tar file; the studio may run meanwhile."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write; keep it as safe as the data directory")

    def handle(self, *, file: Path, **given: Any) -> None:
        try:
            size = back_up(file)
        except BackupError as error:
            sys.exit(str(error))
        what = "everything"
        if objects.is_open():
            what = f"the database, the secret key and what waits to be sent; all other files are at {objects.store().address}"
        self.stdout.write(f"{file} has {what} ({size / 2**20:.1f} MB).")
