"""Runs in their table, in a browser: compared in three clicks, their curves beside them, and why one of them is bad."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.journey import Visit
from tests.e2e.prepared import prepare
from tests.ops.stack import Studio


@pytest.fixture(scope="module")
def project(studio: Studio, signed_in: dict[str, object]) -> int:
    return prepare(studio.data_dir, "table")["table"][0]


def test_five_runs_are_compared_in_three_clicks(visit: Visit, project: int) -> None:
    page = visit.page
    visit.goto(f"/projects/{project}/")
    boxes = page.get_by_role("checkbox", name="Choose run")
    boxes.nth(1).click()
    boxes.nth(5).click(modifiers=["Shift"])
    page.get_by_role("button", name="Compare 5").click()
    expect(page.get_by_role("heading", name="Compare 5 runs")).to_be_visible()
    assert page.url.endswith("?runs=1,2,3,4,5")
    expect(page.locator("par-coords svg path.par-line")).to_have_count(5)
    expect(page.locator("scatter-plot circle")).to_have_count(5)
    page.wait_for_function(
        "() => [...document.querySelectorAll('[data-metric]')].some((card) => Number(card.dataset.points) > 0)"
    )


def test_somebody_who_follows_the_page_finds_the_changed_data(visit: Visit, project: int) -> None:
    """From the table, by what the pages offer: the bad run, what changed since the last good one, the likely layer."""
    page = visit.page
    visit.goto(f"/projects/{project}/")
    page.get_by_role("link", name="run bad").click()
    page.get_by_role("link", name="what changed since the last good run").click()
    expect(page.get_by_text("that is from the start")).to_be_visible()
    first = page.locator(".change-list > li").first
    expect(first).to_contain_text("Data likely")
    expect(first).to_contain_text("Photos v1 → Photos v2")


def test_curves_beside_the_table_follow_what_is_ticked(visit: Visit, project: int) -> None:
    page = visit.page
    visit.goto(f"/projects/{project}/?charts=1")
    expect(page.locator("side-charts")).to_contain_text("The first 5")
    page.get_by_role("checkbox", name="Choose run 2").click()
    expect(page.locator("side-charts chart-grid")).to_have_attribute(
        "runs", page.locator("tr[data-number='2']").get_attribute("data-run") or ""
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('side-charts [data-metric]')].some((card) => Number(card.dataset.points) > 0)"
    )


def test_rows_say_which_curve_is_theirs_and_keys_pin_them_or_make_them_the_baseline(visit: Visit, project: int) -> None:
    page = visit.page
    visit.goto(f"/projects/{project}/?charts=1")
    expect(page.locator("tr[data-number='2'] run-swatch line")).to_be_attached()
    expect(page.locator("tr[data-run] run-swatch")).to_have_count(5)
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("b")
    page.wait_for_url("**base=6*")
    expect(page.locator("tr.is-base")).to_have_attribute("data-number", "6")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("p")
    page.wait_for_url("**pin=5*")
    expect(page.locator("tr.is-pinned")).to_have_attribute("data-number", "5")
