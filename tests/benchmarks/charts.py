"""The charts held to their bars in Chromium: `python -m tests.benchmarks.charts` (two minutes, alone).

Prepares finished runs without training (see tests.e2e.prepared): one of 10,000 metrics, and 5 runs of 20 metrics of
200,000 points. Each page is opened several times in a browser that has the scripts already; the middle time counts.
Beside it stands the processor time of the browser's pages, since other work on the machine lengthens the other one.
The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, Route, sync_playwright

from tests.e2e.chromium import ARGUMENTS, chromium
from tests.e2e.prepared import LONG_METRICS, prepare
from tests.ops.stack import Studio

REPEATS = 5
BARS = {
    "10,000 metrics: first paint, ms": 1000, "10,000 metrics: pinned charts drawn, ms": 2000,
    "10,000 metrics: search to names, ms": 500, "5 runs x 20 x 200k: visible drawn, ms": 1000,
    "5 runs x 20 x 200k: zoom, ms": 300,
}  # fmt: skip
# How many charts can be seen; 0 until all of them are drawn since `window.since`.
DRAWN = """() => {
  const cards = [...document.querySelectorAll("[data-metric]")].filter((card) => {
    const box = card.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  });
  return cards.length && cards.every((card) => card.drawnAt > (window.since ?? 0)) ? Math.max(...cards.map((card) => card.drawnAt)) : 0;
}"""
RECORD = "addEventListener('drawn', (event) => { event.target.drawnAt = performance.now(); });"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
ZOOM = """([from, to]) => {
  window.since = performance.now();
  document.querySelector("chart-grid").zoom([from, to]);
}"""
SEARCH = """(text) => {
  window.since = performance.now();
  const input = document.querySelector("[data-chart-filter]");
  input.value = text;
  input.dispatchEvent(new Event("input"));
}"""
FOUND = "() => document.querySelector('[data-shelf=found] [data-metric]') ? performance.now() : 0"


def busy_ms() -> float:
    """Processor time of the browser's pages until now, over all their threads."""
    pages = [p for p in psutil.Process().children(recursive=True) if "--type=renderer" in p.cmdline()]
    return sum(sum(page.cpu_times()[:2]) for page in pages) * 1e3


def until(page: Page, condition: str) -> float:
    return float(page.wait_for_function(condition, timeout=120_000, polling="raf").json_value())


def as_comparison(runs: list[int]) -> Callable[[Route], None]:
    """The page of charts as one of several runs."""

    def answer(route: Route) -> None:
        response = route.fetch()
        grid = f'<chart-grid class="charts" runs="{",".join(map(str, runs))}" data-url="/series/" data-layout="chart-layout">'
        route.fulfill(response=response, body=re.sub(r"<chart-grid[^>]*>", grid, response.text()))

    return answer


def opened(page: Page, url: str) -> tuple[float, float, float]:
    """First paint, all visible charts drawn, both since the navigation began; and the processor time of the page."""
    before = busy_ms()
    page.goto(url, wait_until="commit")
    drawn = until(page, DRAWN)
    return float(page.evaluate(PAINT)), drawn, busy_ms() - before


def of_many_names(page: Page, url: str) -> dict[str, tuple[float, float]]:
    opened(page, url)
    rounds = []
    for _ in range(REPEATS):
        paint, drawn, work = opened(page, url)
        before = busy_ms()
        page.evaluate(SEARCH, "layer042 unit17")
        found = until(page, FOUND) - page.evaluate("window.since")
        rounds.append(((paint, 0.0), (drawn, work), (found, busy_ms() - before)))
    cards = page.locator("[data-metric]").count()
    assert cards < 50, f"{cards} charts in the page"
    return dict(zip(list(BARS)[:3], map(middle, zip(*rounds, strict=True)), strict=True))


def of_long_runs(page: Page, url: str, runs: list[int]) -> dict[str, tuple[float, float]]:
    page.route(re.compile(r"/charts/$"), as_comparison(runs))
    opened(page, url)
    starts, zooms = [], []
    for k in range(REPEATS):
        _, drawn, work = opened(page, url)
        starts.append((drawn, work))
        before = busy_ms()
        page.evaluate(ZOOM, [10_000 * (k + 1), 110_000 + 10_000 * k])
        zooms.append((until(page, DRAWN) - page.evaluate("window.since"), busy_ms() - before))
    return dict(zip(list(BARS)[3:], (middle(starts), middle(zooms)), strict=True))


def middle(rounds: Any) -> tuple[float, float]:
    walls, works = zip(*rounds, strict=True)
    return statistics.median(walls), statistics.median(works)


def measure(folder: Path) -> dict[str, tuple[float, float]]:
    studio = Studio(folder / "data", "--port", "0").wait_ready()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.add_init_script(RECORD)
            page.goto(studio.link)
            page.get_by_role("button", name="Log in").or_(page.get_by_role("heading", name="Home")).wait_for()
            if page.get_by_role("button", name="Log in").count():
                page.get_by_role("button", name="Log in").click()
            page.get_by_role("heading", name="Home").wait_for()
            runs = prepare(studio.data_dir, "names", "long")
            found = of_many_names(page, f"{studio.url}/runs/{runs['names'][0]}/charts/")
            pin_all(page, studio, LONG_METRICS)
            found |= of_long_runs(page, f"{studio.url}/runs/{runs['long'][0]}/charts/", runs["long"])
            browser.close()
    finally:
        studio.stop()
    return found


def pin_all(page: Page, studio: Studio, metrics: int) -> None:
    token = page.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value") or ""
    pinned = ["loss", *(f"metric_{k:02d}" for k in range(1, metrics))]
    answer = page.context.request.put(
        f"{studio.url}/projects/1/chart-layout/",
        data=json.dumps({"pinned": pinned}),
        headers={"X-CSRFToken": token, "Content-Type": "application/json", "Origin": studio.url, "Referer": studio.url},
    )
    assert answer.ok, answer.text()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    for name, (wall, work) in found.items():
        verdict = "ok" if wall <= BARS[name] else "MISSED"
        print(f"{name:<42}{wall:>8.0f}  (processor {work:>6.0f})   at most {BARS[name]:<6g}{verdict}")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return int(any(wall > BARS[name] for name, (wall, _) in found.items()))


if __name__ == "__main__":
    sys.exit(main())
