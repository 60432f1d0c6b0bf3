"""Markup in every text column of the database, as somebody would write it who tries to get at those who read."""

from __future__ import annotations

import re
from typing import Any

from django.apps import apps
from django.db.models import CharField, F, Field, TextField, Value
from django.db.models.functions import Cast, Concat

from studio.runs.models import Checkpoint, Run

#: Closes an attribute and a tag, and would be an element with the attribute x9.
SHORT = "\"'><u x9>"
ROOM = 8  # for the key of a row
#: Columns that only the studio itself writes, and whose values it reads again.
OWN = re.compile(
    r"(sha256|digest|hash|slug|prefix|fingerprint|object_id|object_type|url|kind|state|outcome|password|key|pool|ref|mime"
    r"|scope|source|event|token|secret|target|task|by|host|action|type|query|field|manifest_sha256|spool_key)$"
)
#: Columns that rows have only with another one.
ONLY_WITH = {"Comment": {"metric": "run", "block": "report"}}


def columns() -> list[tuple[Any, Field[Any, Any]]]:
    """Every text column, with its model, that holds what people write."""
    found: list[tuple[Any, Field[Any, Any]]] = []
    for model in apps.get_models():
        for field in model._meta.get_fields() if model.__module__.startswith("studio.") else ():
            if not isinstance(field, CharField | TextField) or field.choices or OWN.search(field.name):
                continue
            if field == Checkpoint._meta.get_field("name") or field.primary_key or field.is_relation:
                continue  # that of a checkpoint is of a folder
            if field.max_length is None or field.max_length >= len(SHORT) + ROOM:
                found.append((model, field))
    return found


def poison(markup: str = SHORT) -> int:
    """Put `markup` (SHORT where it does not fit) and the row's key, which keeps what is unique so, in all text columns.

    Returns how many columns there were.
    """
    for model, field in columns():
        fits = field.max_length is None or field.max_length >= len(markup) + ROOM
        key, rows = Cast(F("pk"), CharField(max_length=ROOM)), model._default_manager.all()
        if field.name in ONLY_WITH.get(model.__name__, ()):
            rows = rows.filter(**{f"{ONLY_WITH[model.__name__][field.name]}__isnull": False})
        rows.update(**{field.name: Concat(Value(markup if fits else SHORT), key)})
    for run in Run.objects.all():
        summary = {**run.summary, markup: {"last": 1.0, "min": 1.0, "max": 1.0, "count": 1}}
        Run.objects.filter(pk=run.pk).update(
            tags=[markup], summary=summary, progress={**run.progress, "phase": markup, "stage": "setup"}
        )
    return len(columns())
