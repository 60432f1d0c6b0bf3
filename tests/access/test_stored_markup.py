"""What people write is shown as text: markup in every text column of the database reaches no page as markup."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.db.models import CharField, F, TextField, Value
from django.db.models.functions import Cast, Concat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from studio.accounts.audit import record
from studio.runs.models import Checkpoint, Run, State
from tests import factories
from tests.access.people import People
from tests.access.test_matrix import release
from tests.access.walk import listed_routes

#: Closes an attribute and a tag, and would be an element.
MARKUP, ELEMENT = "\"'><u x9>", "<u x9>"
#: Columns that only the studio itself writes, and whose values it reads again.
OWN = re.compile(
    r"(sha256|digest|hash|slug|prefix|fingerprint|object_id|object_type|url|kind|state|outcome|password|key|pool|ref|mime"
    r"|scope|source|event|token|secret|target|task|by|host|action|type|query|field|manifest_sha256|spool_key)$"
)
#: Columns that rows have only with another one.
ONLY_WITH = {"Comment": {"metric": "run", "block": "report"}}
PAGES = [r for r in listed_routes() if r.method == "GET" and r.expect["owner"] == 200 and "api" not in r.name]


def poison() -> int:
    """Put MARKUP and the row's key, which keeps what is unique so, in all text columns; returns how many there were."""
    count = 0
    for model in apps.get_models():
        if not model.__module__.startswith("studio."):
            continue
        for field in model._meta.get_fields():
            if not isinstance(field, CharField | TextField) or field.choices or OWN.search(field.name):
                continue
            if field.max_length is not None and field.max_length < len(MARKUP) + 8:
                continue
            if field == Checkpoint._meta.get_field("name"):
                continue  # of a folder
            if field.primary_key or field.is_relation:
                continue
            key, rows = Cast(F("pk"), CharField(max_length=8)), model._default_manager.all()
            if field.name in ONLY_WITH.get(model.__name__, ()):
                rows = rows.filter(**{f"{ONLY_WITH[model.__name__][field.name]}__isnull": False})
            rows.update(**{field.name: Concat(Value(MARKUP), key)})
            count += 1
    for run in Run.objects.all():
        summary = {**run.summary, MARKUP: {"last": 1.0, "min": 1.0, "max": 1.0, "count": 1}}
        Run.objects.filter(pk=run.pk).update(
            tags=[MARKUP], summary=summary, progress={**run.progress, "phase": MARKUP, "stage": "setup"}
        )
    return count


@pytest.mark.django_db
def test_no_page_holds_what_somebody_wrote_as_markup(people: People) -> None:
    asked = []
    for route in PAGES:
        kwargs = route.make(people)
        query = f"?{route.query(people, kwargs)}" if route.query else ""
        asked.append((route, reverse(route.name, kwargs=kwargs) + query))
    factories.make_run(people.project, state=State.FAILED, started_at=timezone.now())
    record(people.owner, "project.edit", people.project, name=MARKUP)
    assert poison() > 60
    client, wrong, shown = people.client("owner"), [], 0
    for route, url in asked:
        response: Any = client.get(url, headers=route.headers)
        assert response.status_code == 200, route
        if not response.streaming and response["Content-Type"].startswith("text/html"):
            html = response.content.decode()
            shown += html.count(escape(ELEMENT))
            wrong += [f"{route}: {html[max(0, at - 200) :][:300]}" for at in [html.find(ELEMENT)] if at >= 0]
        else:
            assert response["X-Content-Type-Options"] == "nosniff", route
        release(response)
    assert not wrong, "\n".join(wrong)
    assert shown > 10 * len(asked), "else it is not what people wrote that was looked at"
