"""A started studio, a real browser, and pages that fail their test when anything goes wrong in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e import hostile
from tests.e2e.chromium import ARGUMENTS, NAMES, chromium
from tests.e2e.journey import Visit
from tests.e2e.tab import Tab
from tests.e2e.watch import Watch
from tests.ops.stack import Studio, manage

LIMIT_MS = 60_000
expect.set_options(timeout=LIMIT_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e/" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


# Not for the session: playwright's event loop runs in the main thread, where Django then refuses queries.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip(f"No Chromium on PATH ({', '.join(NAMES)}).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def start_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Studio]]:
    """Starts studios on fresh data directories."""
    started: list[Studio] = []

    def start() -> Studio:
        studio = Studio(tmp_path_factory.mktemp("studio") / "data", "--port", "0")
        started.append(studio)
        return studio.wait_ready()

    yield start
    for studio in started:
        studio.stop()


@pytest.fixture(scope="package")
def studio(start_studio: Callable[[], Studio]) -> Studio:
    """The studio that the journeys share."""
    return start_studio()


@pytest.fixture
def artifacts(request: pytest.FixtureRequest) -> Path | None:
    """Where a test keeps its screenshots: below STUDIO_TEST_ARTIFACTS; without it none are taken."""
    root = os.environ.get("STUDIO_TEST_ARTIFACTS")
    if not root:
        return None
    folder = Path(root) / re.sub(r"\W+", "-", request.node.name).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_page(browser: Browser, artifacts: Path | None) -> Iterator[Callable[[Studio], Visit]]:
    """Opens a page of a studio for somebody who is not signed in; its wrongs fail the test at its end."""
    visits: list[Visit] = []

    def visit(studio: Studio) -> Visit:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
        context.set_default_timeout(LIMIT_MS)
        watch = Watch(context, studio.url.partition("//")[2])
        visits.append(Visit(context.new_page(), studio, watch, artifacts))
        return visits[-1]

    yield visit
    wrongs = []
    for one in visits:
        one.keep("end")
        wrongs += one.watch.wrongs()
        one.page.context.close()
    assert not wrongs, "\n".join(wrongs)


@pytest.fixture(scope="package")
def signed_in(browser: Browser, studio: Studio) -> dict[str, object]:
    """Cookies of the administrator of the shared studio."""
    answer = manage("login_link", STUDIO_DATA_DIR=str(studio.data_dir))
    context = browser.new_context()
    page: Page = context.new_page()
    page.goto(answer.stdout.strip().splitlines()[-1])
    page.get_by_role("heading", name="Home").wait_for()  # its script presses the button
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def visit(open_page: Callable[[Studio], Visit], studio: Studio, signed_in: dict[str, object]) -> Visit:
    """A page of the shared studio, signed in as its administrator."""
    visit = open_page(studio)
    visit.page.context.add_cookies(signed_in["cookies"])  # type: ignore[arg-type]
    return visit


@pytest.fixture(scope="package")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hostile.Attacked]:
    data_dir = tmp_path_factory.mktemp("attacked") / "data"
    studio = Studio(data_dir, "--port", "0", "--workers", "0").wait_ready()
    made = hostile.Attacked(data_dir, studio, {})
    try:
        made.found = hostile.prepare(data_dir)
        yield made
    finally:
        made.studio.stop()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, each in a context of its own, for whom the cookie is of; the test asks them what went wrong."""
    contexts: list[BrowserContext] = []

    def make(studio: Studio, cookie: list[str] | None, host: str | None = None, **options: Any) -> Tab:
        wide = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", "reduced_motion": "reduce"}
        contexts.append(context := browser.new_context(**{**wide, **options}))
        if cookie:
            context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": studio.url}])
        return Tab(context, studio.url.partition("//")[2] if host is None else host)

    yield make
    for context in contexts:
        context.close()
