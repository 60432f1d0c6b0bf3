"""Where a run is, in words that are true."""

from __future__ import annotations

import pytest
from django.urls import reverse

from studio.runs.models import Run, State
from tests.access.people import People
from tests.factories import make_run


@pytest.mark.django_db
def test_a_run_that_failed_before_it_trained_is_not_shown_as_starting(people: People) -> None:
    setup = {"stage": "setup", "phase": "loading the data"}
    run = make_run(people.project, state=State.FAILED, progress=setup, reason="ValueError: no")
    client = people.client("owner")
    for url in (reverse("run", args=[run.pk]), reverse("project", args=[people.project.pk])):
        assert "loading the data" not in client.get(url).content.decode()
    Run.objects.filter(pk=run.pk).update(state=State.STARTING)
    assert "loading the data" in client.get(reverse("run", args=[run.pk])).content.decode()
