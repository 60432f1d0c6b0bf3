"""`manage.py storage`: what the studio holds on the disk, and files that belong to nobody or are missing."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from studio.core.templatetags.studio import filesize
from studio.storage import measure, sweep
from studio.storage.disk import differences, on_disk
from studio.storage.held import KINDS, of_studio

SHOWN = 50


class Command(BaseCommand):
    help = "Compare the files of the data directory with the database; exit code 1 where they do not agree."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sweep", action="store_true", help="first remove blobs that no row names")

    def handle(self, **given: Any) -> None:
        measure.measure_attempts()
        measure.measure_manifests()
        if given["sweep"]:
            self.stdout.write(f"{filesize(sweep.sweep())} of blobs that no row named are removed.")
        for key, size in sorted(of_studio().items(), key=lambda pair: -pair[1]):
            self.stdout.write(f"{KINDS[key].label:20} {size:>20,}")
        self.stdout.write(f"{'On the disk':20} {sum(on_disk().values()):>20,}")
        found = differences()
        for one in found[:SHOWN]:
            self.stdout.write(f"{one.path}: {one.on_disk:,} bytes on the disk, {one.in_rows:,} in rows; {one.words}")
        if len(found) > SHOWN:
            self.stdout.write(f"and {len(found) - SHOWN:,} more")
        self.stdout.write("Disk and database agree." if not found else f"{len(found):,} do not agree.")
        if found:
            sys.exit(1)
