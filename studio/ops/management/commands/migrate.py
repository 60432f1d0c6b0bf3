"""Django's `migrate`, but that a database without tables gets them at once."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from studio.ops import schema

SPECIAL = ("app_label", "migration_name", "plan", "check_unapplied", "fake", "fake_initial", "prune")


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        is_whole = options.get("database") == DEFAULT_DB_ALIAS and not any(options.get(name) for name in SPECIAL)
        if not (is_whole and schema.is_empty()):
            super().handle(*args, **options)
            return
        schema.create()
        if options["verbosity"] >= 1:
            self.stdout.write("Made all tables, as they are after the last migration.")
