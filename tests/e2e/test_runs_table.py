"""Runs in their table, in a browser: compared in three clicks, their curves beside them, and why one of them is bad."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.journey import Visit
from tests.e2e.prepared import prepare
from tests.e2e.tab import Tab
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


def test_what_is_ticked_survives_a_reload_and_another_order(visit: Visit, project: int) -> None:
    page = visit.page
    visit.goto(f"/projects/{project}/")
    page.get_by_role("checkbox", name="Choose run 2").click()
    page.get_by_role("checkbox", name="Choose run 4").click()
    assert page.url.endswith("?ticked=2,4")
    page.reload()
    expect(page.locator("input[name=run]:checked")).to_have_count(2)
    page.locator("thead a", has_text="When").click()
    page.wait_for_url("**sort=when*")
    expect(page.get_by_role("checkbox", name="Choose run 4")).to_be_checked()
    page.get_by_label("Filter", exact=True).fill("#2")
    page.get_by_label("Filter", exact=True).press("Enter")
    expect(page.locator("[data-chosen-count]")).to_have_text("2 chosen, 1 not on this page")
    page.get_by_role("button", name="Compare 2").click()
    page.wait_for_url("**?runs=2,4")
    page.go_back()
    page.get_by_role("link", name="Untick them").click()
    expect(page.locator("[data-chosen-count]")).to_have_text("Tick runs, or:")
    assert "ticked" not in page.url


def share(page: Page) -> float:
    return float(
        page.evaluate(
            """() => { const width = (part) => document.querySelector(part).getBoundingClientRect().width;
            return 100 * width(".runs-charts") / width(".runs-split"); }"""
        )
    )


def test_the_divider_moves_by_mouse_and_keys_and_is_remembered(visit: Visit, project: int) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1440, "height": 900})
    visit.goto(f"/projects/{project}/?charts=1")
    bar = page.get_by_role("separator", name="Width of the curves")
    first = share(page)
    box = bar.bounding_box()
    assert box and box["width"] >= 24
    page.mouse.move(box["x"] + 12, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] - 188, box["y"] + 60, steps=4)
    page.mouse.up()
    dragged = share(page)
    assert dragged > first + 10
    page.reload()
    expect(bar).to_have_attribute("aria-valuenow", str(round(dragged)))
    assert abs(share(page) - dragged) < 0.2
    bar.focus()
    page.keyboard.press("ArrowRight")
    assert abs(dragged - share(page) - 2) < 0.2
    page.keyboard.press("End")
    expect(bar).to_have_attribute("aria-valuenow", "15")
    bar.dblclick(position={"x": 12, "y": 60})
    assert abs(share(page) - first) < 0.2
    page.reload()
    assert abs(share(page) - first) < 0.2, "a double click forgets what was remembered"


def test_the_divider_moves_by_touch(
    open_tab: Callable[..., Tab], studio: Studio, signed_in: dict[str, object], project: int
) -> None:
    tab = open_tab(studio, None, viewport={"width": 1280, "height": 800}, has_touch=True)
    page = tab.page
    page.context.add_cookies(signed_in["cookies"])  # type: ignore[arg-type]
    tab.open(f"{studio.url}/projects/{project}/?charts=1")
    bar = page.get_by_role("separator", name="Width of the curves")
    expect(bar).to_have_attribute("aria-valuetext", re.compile("The curves take"))
    first, box = share(page), bar.bounding_box()
    assert box
    fingers = page.context.new_cdp_session(page)
    x, y = box["x"] + 12, box["y"] + 60
    fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in (40, 90, 150):
        fingers.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x - step, "y": y}]})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert share(page) > first + 9
