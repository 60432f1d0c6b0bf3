"""`manage.py doctor`: what is right and wrong with this installation."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from studio.ops.doctor import examine

MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


class Command(BaseCommand):
    help = "Examine versions, data directory, database, queue server and workers; exit code 1 if anything is wrong."
    requires_system_checks = []

    def handle(self, **given: Any) -> None:
        bad = 0
        for finding in examine():
            bad += finding.level == "bad"
            self.stdout.write(f"{MARKS[finding.level]}  {finding.topic:9} {finding.text}")
        if bad:
            self.stdout.write(f"{bad} to put right." if bad > 1 else "One thing to put right.")
            sys.exit(1)
