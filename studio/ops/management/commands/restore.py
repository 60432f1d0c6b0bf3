"""`manage.py restore FILE --data-dir DIR`: a studio from its backup."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from studio.ops.backup import BackupError, bring_back
from studio.ops.data_dir import DataDirError, exclusively, make_private, up_command


class Command(BaseCommand):
    help = "Fill an empty data directory from a file that `backup` wrote."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file that `backup` wrote")
        parser.add_argument("--data-dir", help="an empty directory (default: data/ beside manage.py)")

    def handle(self, *, file: Path, **given: Any) -> None:
        try:
            make_private()
            with exclusively("restore"):
                bring_back(file)
        except (BackupError, DataDirError) as error:
            sys.exit(str(error))
        self.stdout.write(f"{settings.DATA_DIR} is filled. Start it with: {up_command()}")
