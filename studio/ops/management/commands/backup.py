"""`manage.py backup FILE`: everything that cannot be made again, in one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

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
        self.stdout.write(f"{file} has everything ({size / 2**20:.1f} MB).")
