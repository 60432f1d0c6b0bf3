"""What benchmarks in Chromium share: a page of the studio's administrator, and what it costs the processor."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright

from tests.e2e.chromium import ARGUMENTS, chromium
from tests.ops.stack import Studio

Figure = tuple[float, float]  # wall and processor time, ms
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


@contextmanager
def signed_in(studio: Studio) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(studio.link)
        page.get_by_role("heading", name="Home").wait_for()  # its script presses the button
        try:
            yield page
        finally:
            browser.close()


def busy_ms() -> float:
    """Processor time of the browser's pages until now, over all their threads."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may end meanwhile
            if "--type=renderer" in process.cmdline():
                total += sum(process.cpu_times()[:2])
    return total * 1e3


def until(page: Page, condition: str) -> float:
    """The first true value of the condition, looked at before each picture of the screen."""
    return float(page.wait_for_function(condition, timeout=120_000, polling="raf").json_value())


def middle(rounds: Any) -> Figure:
    walls, works = zip(*rounds, strict=True)
    return statistics.median(walls), statistics.median(works)


def report(found: dict[str, Figure], bars: dict[str, float]) -> int:
    """Print a line each; 1 when a bar is missed."""
    for name, (value, work) in found.items():
        bar = bars.get(name)
        verdict = "" if bar is None else f"at most {bar:<8g}{'ok' if value <= bar else 'MISSED'}"
        print(f"{name:<46}{value:>9.1f}  (processor {work:>6.0f})   {verdict}")
    return int(any(name in bars and value > bars[name] for name, (value, _) in found.items()))
