"""Every page by keyboard: the palette, the keys of a page and their sheet, and how they are switched off."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.journey import Visit
from tests.e2e.prepared import prepare


@pytest.fixture
def run(visit: Visit) -> int:
    """A finished run in a project."""
    return prepare(visit.studio.data_dir, "rich")["rich"][0]


def ready(page: Page) -> None:
    """Its scripts have come: keys before that are the browser's."""
    page.wait_for_function("() => customElements.get('command-palette') && document.readyState === 'complete'")


def test_a_run_is_found_and_opened_by_keys_alone(visit: Visit, run: int) -> None:
    page = visit.page
    visit.goto(f"/runs/{run}/")
    name = page.locator("h1 bdi").inner_text()
    visit.goto("/queue/")
    ready(page)
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search")
    expect(field).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    expect(page.locator("h1 bdi")).to_have_text(name)
    ready(page)
    page.keyboard.press(".")
    visit.keep("palette")
    expect(page.get_by_role("option", name="Change and run")).to_be_visible()
    page.keyboard.type("logs")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/runs/{run}/logs/$"))
    ready(page)
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_keys_of_a_page_act_outside_of_fields_and_can_be_switched_off(visit: Visit, run: int) -> None:
    page = visit.page
    visit.goto(f"/runs/{run}/")
    ready(page)
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.get_by_role("heading", level=1, name="Runs")).to_be_visible()
    ready(page)
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("gq?")
    expect(page.locator("#q")).to_have_value("gq?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    visit.goto(page.url.partition(visit.studio.url)[2])
    ready(page)
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Run again")).to_be_focused()
    expect(page.locator("input[name=run]:checked")).to_have_count(1)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys of this page")
    expect(sheet).to_contain_text("next row")
    expect(sheet).to_contain_text("go to Queue")
    visit.keep("sheet")
    page.keyboard.press("Escape")
    visit.goto("/account/")
    page.get_by_label("Single keys").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_attribute("data-keys", "off")
    ready(page)
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.keyboard.press("?")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search")).to_be_focused()
    expect(page).to_have_url(re.compile(r"/account/$"))
    page.keyboard.press("Escape")
    page.get_by_label("Single keys").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("html")).not_to_have_attribute("data-keys", "off")
