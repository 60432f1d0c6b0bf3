"""What is done so that the first points of a run are drawn at once, and that none is lost or drawn twice by it."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.journey import Visit
from tests.e2e.published import Published
from tests.ops.stack import eventually

pytestmark = pytest.mark.timeout(300)
READY = "() => document.documentElement.dataset.chartsReady !== undefined"
LONG = {"trainer.max_epochs": "60", "extras.checkpoint_every": "60ep"}


@pytest.fixture
def asked(visit: Visit) -> list[str]:
    """Addresses of all requests of the page."""
    found: list[str] = []
    visit.page.on("request", lambda request: found.append(request.url))
    return found


def test_pages_that_lead_to_charts_compile_their_library_and_leave_nothing(visit: Visit) -> None:
    page = visit.page
    for path in ("/", "/projects/1/", "/projects/1/runs/new/"):
        visit.goto(path)
        page.wait_for_function(READY)
        assert page.locator(".charts-soon, .js-plotly-plot").count() == 0, path
    visit.goto("/queue/")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("() => [typeof Plotly, document.documentElement.dataset.chartsReady ?? '']") == [
        "undefined",
        "",
    ]


def test_a_new_run_is_heard_from_its_first_point_and_asks_for_no_series(visit: Visit, asked: list[str]) -> None:
    visit.choose("Image CNN", "Digits")
    visit.fill(LONG)
    run = visit.start()
    visit.wait_for_points(3)
    assert not [url for url in asked if "/series/" in url]
    visit.wait_for_state("succeeded")
    visit.assert_all_points_are_shown(run)


def test_points_that_come_while_the_series_is_on_its_way_are_drawn_once(visit: Visit) -> None:
    """Of a page that is opened while the run trains; its series comes after later points were heard."""
    page = visit.page
    visit.choose("Image CNN", "Digits")
    visit.fill(LONG)
    run = visit.start()
    visit.wait_for_points(5)
    heard = threading.Event()
    held: list[Route] = []
    page.route(re.compile(rf"/runs/{run}/series/"), lambda route: held.append(route), times=1)
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: '"t":"m"' in str(text) and heard.set()))
    with Published(visit.studio, run=run) as published:
        visit.goto(f"/runs/{run}/")
        eventually(lambda: page.evaluate("1") and heard.is_set() and held, "points come before the series")
        before = len(published.frames)
        eventually(lambda: page.evaluate("1") and len(published.frames) > before + 2, "more points are logged")
    assert page.locator("[data-points]").count() == 0, "what was before is not known"
    held[0].continue_()
    visit.wait_for_points(8)
    visit.wait_for_state("succeeded")
    visit.assert_all_points_are_shown(run)
    expect(page.locator("#connection")).to_have_text("Live")
