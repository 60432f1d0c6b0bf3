"""Journeys on a phone, by taps alone: compare runs and decide, share a result, find what changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.prepared import prepare
from tests.e2e.room import AUDIT, TARGET_PX
from tests.e2e.tab import Tab
from tests.ops.stack import Studio

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.fixture(scope="module")
def project(studio: Studio, signed_in: dict[str, object]) -> int:
    return prepare(studio.data_dir, "table")["table"][0]


@pytest.fixture
def phone(open_tab: Callable[..., Tab], studio: Studio, signed_in: dict[str, object]) -> Tab:
    tab = open_tab(studio, None, **PHONE)
    tab.page.context.add_cookies(signed_in["cookies"])  # type: ignore[arg-type]
    return tab


def fits(page: Page) -> bool:
    return not page.evaluate(AUDIT, TARGET_PX)


def choose(page: Page, number: int) -> None:
    page.locator(f"tr[data-number='{number}']").get_by_text(f"Choose run {number}").locator("..").tap()
    expect(page.get_by_role("checkbox", name=f"Choose run {number}", exact=True)).to_be_checked()


def is_on_screen(part: Locator) -> bool:
    box = part.bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["viewport"]["width"]  # type: ignore[index]


def test_runs_are_filtered_compared_and_decided(phone: Tab, studio: Studio, project: int) -> None:
    page = phone.page
    phone.open(f"{studio.url}/projects/{project}/")
    page.get_by_label("Filter", exact=True).fill("lr<0.2")
    page.get_by_role("button", name="Filter").tap()
    expect(page.locator("[data-count]")).to_have_text("6 runs")
    page.get_by_text("Sort and group").tap()
    panel = page.locator(".tool-menu[open] .tool-panel")
    assert is_on_screen(panel) and fits(page)
    panel.get_by_label("Sort by").fill("-val_acc.max")
    panel.get_by_role("button", name="Apply").tap()
    expect(page.get_by_text("Sort (1)")).to_be_visible()
    choose(page, 1)
    choose(page, 2)
    page.get_by_role("button", name="Compare 2").tap()
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    page.get_by_role("button", name="Mark as winner").first.tap()
    expect(page.get_by_text("winner", exact=True).first).to_be_visible()
    assert fits(page)


def test_a_comparison_is_shared_with_somebody_who_has_a_phone(
    open_tab: Callable[..., Tab], phone: Tab, studio: Studio, project: int
) -> None:
    page = phone.page
    phone.open(f"{studio.url}/projects/{project}/compare/?runs=1,2")
    page.get_by_role("link", name="Share").tap()
    page.get_by_role("button", name="Make the link").tap()
    url = page.get_by_role("link", name="Look at it").get_attribute("href")
    assert url and fits(page)
    guest = open_tab(studio, None, **PHONE)
    guest.open(url if url.startswith("http") else studio.url + url)
    expect(guest.page.get_by_role("heading", name="2 runs compared")).to_be_visible()
    assert fits(guest.page)


def test_the_cause_of_a_bad_run_is_found_from_its_page(phone: Tab, studio: Studio, project: int) -> None:
    page = phone.page
    phone.open(f"{studio.url}/")
    page.get_by_role("button", name="Menu").tap()
    page.get_by_role("link", name="Runs", exact=True).wait_for()
    phone.open(f"{studio.url}/projects/{project}/")
    page.get_by_role("link", name="run bad").tap()
    page.get_by_role("link", name="what changed since the last good run").tap()
    expect(page.locator(".change-list > li").first).to_contain_text("Data likely")
    assert fits(page)
