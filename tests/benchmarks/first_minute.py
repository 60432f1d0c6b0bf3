"""A new user's first minute, held to its bars: `python -m tests.benchmarks.first_minute` (half a minute, alone).

Starts a studio on an empty data directory, follows the printed link in a real browser, waits until a trainer is ready,
and starts the example. The exit code is 1 when a bar is missed. Other work on the machine lengthens every figure.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from tests.e2e.chromium import ARGUMENTS, chromium
from tests.e2e.journey import RECORD_DRAWN, Visit, percentile
from tests.e2e.published import Published
from tests.e2e.watch import Watch
from tests.ops.stack import Studio, eventually

BARS = {
    "up to ready, s": 5.0, "start to first live point, s": 2.0, "published to drawn, median, ms": 100.0,
    "published to drawn, p95, ms": 300.0, "web process, MiB": 150.0,
}  # fmt: skip


def standby_is_ready(studio: Studio) -> bool:
    """A trainer that waits for its order takes no processor time any more."""
    pids = studio.pids("--standby")
    return bool(pids) and all(psutil.Process(pid).cpu_percent(0.5) == 0.0 for pid in pids)


def measure(folder: Path) -> dict[str, float]:
    studio = Studio(folder / "data", "--port", "0").wait_ready()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            watch = Watch(context, studio.url.partition("//")[2])
            page = context.new_page()
            visit = Visit(page, studio, watch, folder)
            page.add_init_script(RECORD_DRAWN)
            page.goto(studio.link)
            eventually(lambda: standby_is_ready(studio), "a trainer is ready", 60.0)
            page.get_by_role("link", name="Run the example").click()
            page.get_by_role("button", name="Start the run").wait_for()
            with Published(studio, run=1) as published:
                pressed = time.time()
                visit.start()
                visit.wait_for_points()
                first_s = page.evaluate("drawn[0].at") / 1000 - pressed
                visit.wait_for_state("succeeded")
            delays = published.delays(page.evaluate("drawn"))
            rss = psutil.Process(studio.pids("daphne")[0]).memory_info().rss
            browser.close()
        assert not watch.wrongs(), watch.wrongs()
    finally:
        studio.stop()
    values = (studio.seconds, first_s, percentile(delays, 0.5) * 1e3, percentile(delays, 0.95) * 1e3, rss / 2**20)
    return dict(zip(BARS, values, strict=True))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    for name, value in found.items():
        print(f"{name:<34}{value:>8.1f}   at most {BARS[name]:<6g}{'ok' if value <= BARS[name] else 'MISSED'}")
    busy = os.getloadavg()[0]
    print(f"load of the machine at the end: {busy:.1f} on {os.cpu_count()} processors")
    return int(any(value > BARS[name] for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
