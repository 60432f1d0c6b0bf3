"""A first start makes the tables at once; they must be those that all migrations make one after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from studio.ops import schema
from tests.ops.stack import ROOT, environment

ONE_BY_ONE = """
import json, django
django.setup()
from django.core.management import call_command
from django.core.management.commands import migrate
from tests.ops.test_schema import described
call_command(migrate.Command(), verbosity=0)
print(json.dumps(described()))
"""


def described() -> dict[str, Any]:
    """Of every table: columns, constraints and indexes (orders of columns may differ), and the rows that all have."""
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            columns = connection.introspection.get_table_description(cursor, table)
            found[table] = [sorted(map(repr, ((c.name, *map(str, c[1:])) for c in columns)))]
            if connection.vendor == "sqlite":
                found[table].append(_words_of_sqlite(cursor, table))
            constraints = connection.introspection.get_constraints(cursor, table)
            found[table].append(sorted(map(repr, (_named(name, c) for name, c in constraints.items()))))
            if table not in ("sqlite_sequence", "django_session"):
                cursor.execute(f'SELECT COUNT(*) FROM "{table}"')
                found[table].append(cursor.fetchone()[0])
    return found


def _named(name: str, constraint: Any) -> tuple[str, ...]:
    """Names that SQLite counts up follow the order of columns; of a check its words are compared, not its columns."""
    kept = "" if name.startswith(("__unnamed", "sqlite_autoindex", "fk_")) else name
    columns = sorted(constraint["columns"]) if constraint["check"] else constraint["columns"]
    rest = (f"{key}={constraint[key]}" for key in sorted(constraint) if key not in ("columns", "definition"))
    return (kept, str(columns), *rest)


def _words_of_sqlite(cursor: Any, table: str) -> list[str]:
    """All that was said of the table and of its indexes, in any order: also conditions, which introspection leaves out."""
    cursor.execute("SELECT type, sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL", [table])
    words = []
    for kind, sql in cursor.fetchall():
        parts = sql.replace("\n", " ").partition("(")[2].rpartition(")")[0].split(", ") if kind == "table" else [sql]
        words += [f"{kind} {part.strip()}" for part in parts]
    return sorted(words)


@pytest.mark.django_db
def test_tables_made_at_once_are_those_of_all_migrations(tmp_path: Path) -> None:
    url = {name: os.environ[name] for name in ("STUDIO_DATABASE_URL",) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE],
        env=environment(STUDIO_DATA_DIR=str(tmp_path), DJANGO_SETTINGS_MODULE="studio.settings", **url),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    one_by_one, at_once = json.loads(done.stdout.splitlines()[-1]), json.loads(json.dumps(described()))
    assert len(one_by_one) > 40
    for table in sorted(at_once.keys() | one_by_one.keys()):
        assert at_once.get(table) == one_by_one.get(table), table


@pytest.mark.django_db
def test_a_database_that_is_up_to_date_is_left_alone(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(3):
        schema.bring_up_to_date()
