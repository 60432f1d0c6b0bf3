"""`manage.py scheduler`: the process that `up` starts for what is due from time to time."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from studio.ops.schedule import run_until_signal


class Command(BaseCommand):
    help = "Call the scheduled functions (lost runs, queue, compaction, retention) until stopped. `up` starts it."
    requires_system_checks = []

    def handle(self, **given: Any) -> None:
        run_until_signal()
