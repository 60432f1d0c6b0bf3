"""The Charts tab with everything that it can do, on finished runs that were prepared without training."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Download, Locator, Page, expect

from tests.e2e.conftest import LIMIT_MS
from tests.e2e.journey import Visit
from tests.e2e.prepared import NAMES, prepare
from tests.ops.stack import Studio

expect.set_options(timeout=LIMIT_MS)
DRAWN = """(least) => [...document.querySelectorAll("[data-metric]")].filter((card) => Number(card.dataset.points) > 0).length >= least"""
COMPARE = """([ids, names]) => {
  const grid = document.createElement("chart-grid");
  grid.setAttribute("runs", ids.join(","));
  Object.assign(grid.dataset, { names: JSON.stringify(names), url: "/series/", objective: "val_loss", settled: "1" });
  document.querySelector("chart-grid").replaceWith(grid);
}"""
SHAPES = "() => document.querySelector('[data-metric=loss] .chart-plot')._fullLayout.shapes.map((shape) => [shape.x0, shape.label?.text ?? ''])"
AXIS = "() => (({ type, title, range }) => [type, title.text, range])(document.querySelector('[data-metric=loss] .chart-plot')._fullLayout.xaxis)"
STROKES = "() => new Set([...document.querySelectorAll('[data-metric=loss] .chart-legend line')].map((line) => line.getAttribute('stroke'))).size"


@pytest.fixture(scope="module")
def prepared(studio: Studio, signed_in: dict[str, object]) -> dict[str, list[int]]:
    """In the first project, which is there once its administrator has logged in."""
    return prepare(studio.data_dir, "rich", "names")


def card(page: Page, metric: str) -> Locator:
    return page.locator(f"[data-metric='{metric}']")


def menu(page: Page, metric: str, item: str) -> None:
    card(page, metric).get_by_label(f"More for {metric}").click()
    card(page, metric).get_by_role("button", name=item, exact=True).click()


def saved(page: Page, metric: str, item: str) -> Download:
    with page.expect_download() as download:
        menu(page, metric, item)
    return download.value


def titles(page: Page, shelf: str) -> list[str]:
    cards = page.locator(f"[data-shelf='{shelf}'] [data-metric]")
    return [str(one) for one in cards.evaluate_all("all => all.map((card) => card.dataset.metric)")]


def test_charts_are_read_compared_and_kept_as_files(
    visit: Visit, prepared: dict[str, list[int]], tmp_path: Path
) -> None:
    page = visit.page
    visit.goto(f"/runs/{prepared['rich'][0]}/charts/")
    page.wait_for_function(DRAWN, arg=3)
    assert titles(page, "pinned") == ["loss", "lr-SGD", "step_time"]
    visit.keep("charts")
    assert page.evaluate(SHAPES) == [
        [100, ""], [200, ""], [300, "best"], [400, ""], [151, "lr 0.01"], [301, "lr 0.001"],
    ]  # fmt: skip

    # A section opens by keyboard and draws its charts.
    section = page.get_by_role("button", name=re.compile("^grad"))
    expect(section).to_have_attribute("aria-expanded", "false")
    section.press("Enter")
    page.wait_for_function(DRAWN, arg=5)
    assert titles(page, "section:grad") == [f"grad/layer{k}" for k in range(4)]

    # The crosshair of one chart is that of all; a click pins it, keys move it, Escape releases it.
    frame = card(page, "loss").locator(".chart-frame")
    frame.hover(position={"x": 200, "y": 80})
    other = card(page, "lr-SGD").locator(".chart-readout")
    expect(other).to_contain_text("lr-SGD")
    frame.click(position={"x": 200, "y": 80})
    expect(other).to_contain_text("pinned")
    page.mouse.move(5, 5)
    expect(other).to_be_visible()
    page.get_by_role("button", name="Release the crosshair").click()
    expect(other).to_be_hidden()
    frame.press("End")
    expect(card(page, "loss").locator(".chart-readout")).to_contain_text("step 400 · checkpoint")
    frame.press("Home")
    frame.press("ArrowRight")
    frame.press("Enter")
    expect(other).to_contain_text("step 2 · pinned")
    frame.press("Escape")
    expect(other).to_be_hidden()

    # Outliers are clipped and that is said; the axis can be another one, and logarithmic.
    page.get_by_label("Outliers").select_option("98")
    expect(card(page, "loss").locator(".chart-note")).to_contain_text("above")
    page.get_by_label("X axis").select_option("samples")
    page.wait_for_function(f"() => ({AXIS})()[1] === 'samples'")
    assert page.evaluate(AXIS)[2][1] >= 64 * 400
    page.get_by_label("Log x").check()
    page.wait_for_function(f"() => ({AXIS})()[0] === 'log'")
    page.get_by_label("X axis").select_option("time")
    page.wait_for_function(f"() => ({AXIS})()[0] === 'date'")
    page.get_by_label("X axis").select_option("step")

    # As a table, as files, and over the whole page.
    card(page, "loss").get_by_text("View as table").press("Enter")
    table = card(page, "loss").get_by_role("table")
    expect(table).to_contain_text("the last 200 of 400 rows")
    expect(table.get_by_role("columnheader").first).to_have_text("step")
    expect(table).to_contain_text("NaN")
    path = tmp_path / "chart"
    saved(page, "loss", "Save points as CSV").save_as(path)
    lines = path.read_text().split()
    assert (lines[0], len(lines)) == ("step,train_loss,val_loss", 401)
    assert lines[252].split(",")[1] == "NaN"
    saved(page, "loss", "Save as SVG").save_as(path)
    assert path.read_bytes().startswith(b"<svg") and b"train_loss" in path.read_bytes()
    saved(page, "loss", "Save as PNG").save_as(path)
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000
    page.get_by_label("Full size: loss").click()
    dialog = page.get_by_role("dialog", name="loss")
    expect(dialog.locator(".chart-plot")).to_be_visible()
    assert dialog.locator(".main-svg").first.evaluate("svg => svg.getBoundingClientRect().width") > 900
    visit.keep("full-size")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_label("Full size: loss")).to_be_focused()


def test_a_point_is_commented_on_and_its_comment_leads_back_to_it(visit: Visit, prepared: dict[str, list[int]]) -> None:
    page = visit.page
    visit.goto(f"/runs/{prepared['rich'][0]}/charts/")
    page.wait_for_function(DRAWN, arg=3)
    frame = card(page, "loss").locator(".chart-frame")
    frame.press("Home")
    frame.press("ArrowRight")
    frame.press("Enter")
    card(page, "loss").locator(".chart-readout").get_by_role("link", name="train_loss").click()
    expect(page.locator("#new-comment")).to_contain_text("About train_loss at step 2.")
    page.locator("#new-comment").get_by_role("textbox").fill("Where does it begin?")
    page.get_by_role("button", name="Comment", exact=True).click()
    page.get_by_role("link", name="train_loss at step 2").click()
    expect(card(page, "loss").locator(".chart-readout")).to_contain_text("step 2 · pinned")
    expect(card(page, "loss")).to_be_in_viewport()

    # One whose chart is in a section that is folded is looked for.
    visit.goto(f"/runs/{prepared['rich'][0]}/charts/?metric=grad/layer2&step=100")
    expect(card(page, "grad/layer2").locator(".chart-readout")).to_contain_text("step 100")
    visit.keep("comment-on-a-point")


def test_an_arrangement_is_kept_for_a_person_and_for_the_project(visit: Visit, prepared: dict[str, list[int]]) -> None:
    page, url = visit.page, f"/runs/{prepared['rich'][1]}/charts/"
    visit.goto(url)
    page.wait_for_function(DRAWN, arg=3)
    menu(page, "step_time", "Hide")
    page.get_by_role("button", name=re.compile("^weight")).click()
    menu(page, "weight/layer2", "Move earlier")
    expect(card(page, "weight/layer2").get_by_label("More for weight/layer2")).to_be_focused()
    menu(page, "weight/layer3", "Pin to the top")
    page.get_by_label("Log y").check()
    page.reload()  # at once: the page may be asked for before the layout has arrived
    page.wait_for_function(DRAWN, arg=3)
    assert titles(page, "pinned") == ["loss", "lr-SGD", "weight/layer3"]
    assert titles(page, "section:weight") == ["weight/layer0", "weight/layer2", "weight/layer1"]
    expect(page.get_by_label("Log y")).to_be_checked()
    expect(page.get_by_role("button", name=re.compile("^Hidden charts"))).to_be_visible()
    page.get_by_role("button", name="Layout").click()
    page.get_by_role("button", name="Save this one for the project").click()
    expect(page.get_by_role("status").filter(has_text="Members of the project")).to_be_visible()
    menu(page, "loss", "Unpin")
    page.get_by_role("button", name="Layout").click()
    page.get_by_role("button", name="Back to the project's layout").click()
    expect(card(page, "loss")).to_be_visible()
    assert titles(page, "pinned") == ["loss", "lr-SGD", "weight/layer3"]
    token = page.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value") or ""
    project = visit.studio.url + str(page.locator("chart-grid").get_attribute("data-layout-url"))
    page.context.request.delete(f"{project}shared/", headers={"X-CSRFToken": token, "Referer": visit.studio.url})


def test_of_ten_thousand_metrics_only_those_that_are_seen_are_asked_for(
    visit: Visit, prepared: dict[str, list[int]]
) -> None:
    page, asked = visit.page, []
    page.on(
        "request", lambda request: "/series/" in request.url and asked.append(parse_qs(urlsplit(request.url).query))
    )
    visit.goto(f"/runs/{prepared['names'][0]}/charts/")
    page.wait_for_function(DRAWN, arg=3)
    assert [query.get("metrics", []) for query in asked] == [[], ["train_loss", "val_loss", "lr-SGD", "step_time"]]
    assert page.locator("*").count() < 3000
    page.get_by_label("Metrics").fill("LAYER042 unit1")
    expect(page.get_by_role("heading", name=f"10 of {NAMES - 1} charts match")).to_be_visible()
    page.wait_for_function(DRAWN, arg=2)
    seen = set().union(*(query["metrics"] for query in asked[2:]))
    assert seen <= {f"layer042/unit{k}/gradient_norm" for k in range(10, 20)}
    page.get_by_label("Metrics").fill("gradient_norm")
    more = page.get_by_role("button", name=re.compile("^Show 24 more"))
    more.click()
    expect(page.locator("[data-metric]")).to_have_count(48)
    visit.keep("ten-thousand")


def test_several_runs_share_a_chart_in_colours_of_their_own(visit: Visit, prepared: dict[str, list[int]]) -> None:
    page, runs = visit.page, prepared["rich"]
    visit.goto(f"/runs/{runs[0]}/charts/")
    page.evaluate(COMPARE, [runs, {str(pk): f"rich {k}" for k, pk in enumerate(runs)}])
    page.wait_for_function(DRAWN, arg=3)
    expect(card(page, "loss").locator(".chart-line").filter(has_text="rich 2 · val_loss")).to_be_visible()
    assert page.evaluate(STROKES) == 3
    visit.keep("several-runs")
    page.get_by_role("button", name="rich 1", exact=True).click()
    expect(card(page, "loss").locator(".chart-line").filter(has_text="rich 1")).to_have_count(0)
    assert page.evaluate(STROKES) == 2
    found = json.loads(page.context.request.get(f"{visit.studio.url}/series/?metrics=train_loss&run={runs[1]}").text())
    assert found["runs"][0]["run"] == runs[1]
