"""Before a run starts: it is checked, its rate is found, text and form agree, nothing typed is lost; and a quick rerun."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.e2e.journey import Visit
from tests.ops.stack import slowness

pytestmark = pytest.mark.timeout(600)
PATIENCE_MS = 240_000


def value(visit: Visit, name: str) -> str:
    return visit.page.locator(f"[name='{name}']").input_value()


def count_runs(visit: Visit) -> int:
    return visit.page.context.request.get(visit.studio.url + "/projects/1/").text().count("<tr data-run")


def test_a_run_is_tried_before_it_starts(visit: Visit) -> None:
    visit.choose("Tabular MLP", "Wine")
    page = visit.page
    # A page that glides to a place takes the buttons of the sticky footer away between pressing and releasing.
    assert page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    before = count_runs(visit)
    visit.fill({"trainer.max_epochs": "40", "extras.monitor": "val_f1"})
    began = time.monotonic()
    page.get_by_role("button", name="Check").click()
    check = page.locator("#preflight")
    expect(check.get_by_text("answered in")).to_be_visible(timeout=PATIENCE_MS)
    assert time.monotonic() - began < 15 * slowness()
    expect(check.get_by_text("Whole run")).to_be_visible()
    check.get_by_text("The first batch as the model sees it").click()
    visit.keep("check")
    check.get_by_role("button", name=re.compile("Set monitor to val_loss")).click()
    assert value(visit, "extras.monitor") == "val_loss"

    page.get_by_role("button", name="Find learning rate").click()
    use = page.locator("#preflight").get_by_role("button", name=re.compile("^Use "))
    expect(use.first).to_be_visible(timeout=PATIENCE_MS)
    visit.keep("rates")
    rate = use.first.inner_text().removeprefix("Use ")
    use.first.click()
    assert value(visit, "model.lr") == rate
    assert count_runs(visit) == before, "neither is a run"

    page.get_by_text("As text: YAML, command, script").click()
    text = page.locator("#as-yaml")
    expect(text).to_have_value(re.compile(r"monitor: val_loss"), timeout=PATIENCE_MS)
    page.locator(".cm-line", has_text="max_epochs: 40").click()
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    page.keyboard.type("1")
    expect(page.locator("[name='trainer.max_epochs']")).to_have_value("41", timeout=PATIENCE_MS)
    page.keyboard.type(" soon")
    expect(page.locator("[data-errors]")).to_contain_text("does not fit", timeout=PATIENCE_MS)
    visit.keep("as text")

    page.wait_for_function("() => Object.values(localStorage).some(text => text.includes('val_loss'))")
    page.reload()
    expect(page.get_by_text("What you had typed is here again")).to_be_visible()
    assert [value(visit, name) for name in ("trainer.max_epochs", "extras.monitor", "model.lr")] == [
        "41",
        "val_loss",
        rate,
    ]
    visit.keep("draft")
    visit.start()
    visit.wait_for_state("succeeded")


def test_a_rerun_with_two_changes_is_quick(visit: Visit) -> None:
    visit.choose("Tabular MLP", "Wine")
    visit.fill({"trainer.max_epochs": "2"})
    parent = visit.start()
    visit.wait_for_state("succeeded")
    page, began, interactions = visit.page, time.monotonic(), 0
    page.get_by_role("link", name="Change and run").click()
    interactions += 1
    page.locator("[data-field-search]").wait_for()
    page.locator("[name='model.lr']").fill("3e-4")
    interactions += 1
    page.locator("[name='data.batch_size']").fill("64/2")
    interactions += 1
    expect(page.locator("[data-changes]")).to_have_text(re.compile(r"^2 changes against #\d+: "))
    visit.keep("two changes")
    page.get_by_role("button", name="Start the run").click()
    interactions += 1
    page.wait_for_url(re.compile(rf"/runs/(?!{parent}/)\d+/$"))
    took = time.monotonic() - began
    assert interactions <= 5
    assert took < 20 * slowness()
    page.get_by_role("link", name="Config").click()
    expect(page.locator("#changes")).to_be_visible()
    assert page.locator("section[aria-labelledby=changes] tbody tr").count() == 2
    visit.keep("config")


def test_a_folded_field_is_found_by_its_name(visit: Visit) -> None:
    visit.choose("Tabular MLP", "Wine")
    page = visit.page
    page.locator("[data-field-search]").fill("clip val")
    expect(page.locator("[data-found]")).to_have_text(re.compile(r"^[12] fields?$"))
    page.locator("[data-field-search]").press("Enter")
    assert page.evaluate("document.activeElement.name") == "trainer.gradient_clip_val"
    visit.keep("search")
    page.locator("[data-field-search]").press("Escape")
    expect(page.locator("[name='trainer.max_epochs']")).to_be_visible()
