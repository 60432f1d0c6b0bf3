"""The charts held to their bars in Chromium: `python -m tests.benchmarks.charts` (two minutes, alone).

Prepares finished runs without training (see tests.e2e.prepared): one of 10,000 metrics, and 5 runs of 20 metrics of
200,000 points. Each page is opened several times in a browser that has the scripts already, for runs in an order that
was not asked for yet, so that no points are in its cache; the middle time counts. Beside it stands the processor time of
the browser's pages, since other work on the machine lengthens the other one. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from itertools import permutations
from pathlib import Path

from playwright.sync_api import Page

from tests.benchmarks.browser import PAINT, Figure, busy_ms, middle, report, signed_in, until
from tests.e2e.prepared import LONG_METRICS, prepare
from tests.ops.stack import Studio

REPEATS = 5
BARS = {
    "10,000 metrics: first paint, ms": 1000, "10,000 metrics: pinned charts drawn, ms": 2000,
    "10,000 metrics: search to names, ms": 500, "5 runs x 20 x 200k: visible drawn, ms": 1000,
    "5 runs x 20 x 200k: zoom, ms": 300,
}  # fmt: skip
# When the last chart that can be seen was drawn; 0 until all of them are since `window.since`. Looks at the page only when
# one was drawn, so that looking costs next to nothing.
DRAWN = """() => {
  if (window.looked === window.draws) return 0;
  window.looked = window.draws;
  const cards = [...document.querySelectorAll("[data-metric]")].filter((card) => {
    const box = card.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  });
  return cards.length && cards.every((card) => card.drawnAt > (window.since ?? 0)) ? Math.max(...cards.map((card) => card.drawnAt)) : 0;
}"""
# The page of charts as one of several runs: before its elements begin.
RECORD = """
addEventListener("drawn", (event) => { event.target.drawnAt = performance.now(); window.draws = (window.draws ?? 0) + 1; });
document.addEventListener("readystatechange", () => {
  const runs = sessionStorage.getItem("runs");
  const grid = runs && document.readyState === "interactive" && document.querySelector("chart-grid");
  if (!grid) return;
  for (const name of ["run", "cursor", "mode", "samples", "settled", "layoutUrl", "token"]) delete grid.dataset[name];
  grid.dataset.url = "/series/";
  grid.setAttribute("runs", runs);
});
"""
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


def opened(page: Page, url: str) -> tuple[float, float, float]:
    """First paint, all visible charts drawn, both since the navigation began; and the processor time of the page."""
    before = busy_ms()
    page.goto(url, wait_until="commit")
    drawn = until(page, DRAWN)
    return until(page, PAINT), drawn, busy_ms() - before


def of_many_names(page: Page, url: str) -> dict[str, Figure]:
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


def of_long_runs(page: Page, url: str, runs: list[int]) -> dict[str, Figure]:
    starts, zooms = [], []
    for k, order in enumerate(list(permutations(runs))[: REPEATS + 1]):
        page.evaluate("(runs) => sessionStorage.setItem('runs', runs)", ",".join(map(str, order)))
        _, drawn, work = opened(page, url)
        if not k:
            continue
        starts.append((drawn, work))
        before = busy_ms()
        page.evaluate(ZOOM, [10_000 * k, 100_000 + 10_000 * k])
        zooms.append((until(page, DRAWN) - page.evaluate("window.since"), busy_ms() - before))
    return dict(zip(list(BARS)[3:], (middle(starts), middle(zooms)), strict=True))


def measure(folder: Path) -> dict[str, Figure]:
    studio = Studio(folder / "data", "--port", "0").wait_ready()
    try:
        with signed_in(studio) as page:
            page.add_init_script(RECORD)
            runs = prepare(studio.data_dir, "names", "long")
            found = of_many_names(page, f"{studio.url}/runs/{runs['names'][0]}/charts/")
            pin_all(page, studio, LONG_METRICS)
            found |= of_long_runs(page, f"{studio.url}/runs/{runs['long'][0]}/charts/", runs["long"])
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
    missed = report(found, BARS)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return missed


if __name__ == "__main__":
    sys.exit(main())
