"""Pages name all modules that their script leads to, so that no import waits for the one above it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from studio.core.modules import modules_of
from tests.access.people import People
from tests.factories import make_run

STATIC = Path(settings.BASE_DIR) / "static"


def imported(path: Path) -> set[Path]:
    """By a plainer rule than the one under test: all that stands in quotes behind `from` or a bare `import`."""
    text = path.read_text(encoding="utf-8")
    return {(path.parent / name).resolve() for name in re.findall(r'^(?:import|export|\}).*?"(\.[^"]+)"', text, re.M)}


def test_the_modules_of_a_script_are_all_that_its_imports_lead_to() -> None:
    names = modules_of("js/main.js")
    assert len(names) == len(set(names)) > 50
    files = {STATIC / name for name in (*names, "js/main.js")}
    assert all(path.is_file() for path in files)
    assert set().union(*map(imported, files)) <= files


@pytest.mark.django_db
def test_a_page_names_its_modules_once_and_a_page_of_charts_their_library(people: People, client: Client) -> None:
    client.force_login(people.viewer)
    page = client.get(reverse("home")).content.decode()
    found = re.findall(r'<link rel="modulepreload" href="/static/([^"]+)">', page)
    assert found == list(modules_of("js/main.js"))
    library = '<link rel="preload" as="script" href="/static/vendor/plotly'
    assert library not in page
    assert library in client.get(reverse("run-charts", args=[make_run(people.project).pk])).content.decode()
