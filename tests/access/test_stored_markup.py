"""What people write is shown as text: markup in every text column of the database reaches no page as markup."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from studio.accounts.audit import record
from studio.runs.models import State
from tests import factories
from tests.access.people import People
from tests.access.poison import SHORT, poison
from tests.access.test_matrix import release
from tests.access.walk import listed_routes

ELEMENT = "<u x9>"
PAGES = [r for r in listed_routes() if r.method == "GET" and r.expect["owner"] == 200 and "api" not in r.name]


@pytest.mark.django_db
def test_no_page_holds_what_somebody_wrote_as_markup(people: People) -> None:
    asked = []
    for route in PAGES:
        kwargs = route.make(people)
        query = f"?{route.query(people, kwargs)}" if route.query else ""
        asked.append((route, reverse(route.name, kwargs=kwargs) + query))
    factories.make_run(people.project, state=State.FAILED, started_at=timezone.now())
    record(people.owner, "project.edit", people.project, name=SHORT)
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
