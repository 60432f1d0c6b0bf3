"""The interactive documentation in a real browser, under the content policy of all pages."""

from __future__ import annotations

import pytest

from tests.client.conftest import open_folder, server, server_process
from tests.e2e.chromium import ARGUMENTS, chromium

__all__ = ["open_folder", "server", "server_process"]
CHROMIUM = chromium()


@pytest.mark.e2e
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_it_shows_every_operation_and_asks_nobody_else(server: str) -> None:
    from playwright.sync_api import sync_playwright

    said: list[str] = []
    elsewhere: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((server, "data:")) else elsewhere.append(r.url))
        page.goto(f"{server}/api/v1/docs")
        page.wait_for_selector("#operations-runs-create_run")
        shown = page.locator(".opblock").count()
        browser.close()
    assert shown >= 30
    assert (said, elsewhere) == ([], [])
