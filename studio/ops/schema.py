"""Brings the tables of the database to what the code expects."""

from __future__ import annotations

from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder


def bring_up_to_date() -> None:
    """Migrate if anything is to be migrated."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def is_empty() -> bool:
    """Whether the database has no table, or at most the one in which migrations are entered, without an entry."""
    names = set(connection.introspection.table_names())
    return names <= {MigrationRecorder.Migration._meta.db_table} and not (
        names and MigrationRecorder(connection).applied_migrations()
    )


def create() -> None:
    """Make the tables as they are after the last migration, in one transaction with the entries that say so.

    Migrating an empty database renders every model anew after every step, which takes longer than all else of a first
    start. No migration may enter rows that an empty database needs: a test compares both ways.
    """
    loader, recorder = MigrationLoader(connection), MigrationRecorder(connection)
    recorder.ensure_schema()
    emit_pre_migrate_signal(0, False, DEFAULT_DB_ALIAS)
    apps = loader.project_state().apps
    with connection.schema_editor(atomic=True) as editor:
        for model in apps.get_models():
            if model._meta.managed and not model._meta.proxy and not model._meta.swapped:
                editor.create_model(model)
        for app, name in loader.graph.nodes:
            recorder.record_applied(app, name)
    emit_post_migrate_signal(0, False, DEFAULT_DB_ALIAS, apps=apps)
