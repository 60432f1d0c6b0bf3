"""A large CSV through the browser, held to its bars: `python -m tests.benchmarks.upload [GiB]` (minutes, alone).

Starts a studio, uploads a file of 2 GiB with a real browser, cuts the connection once by ending the web process in the
middle, and loads another page all the while. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from tests.e2e.chromium import ARGUMENTS, chromium
from tests.e2e.journey import percentile
from tests.ops.stack import Studio, eventually

BARS = {"web process grows by, MiB": 100.0, "other page meanwhile, p95, ms": 500.0, "bytes missing": 0.0}
ROW = b"3.14159,2.71828,1.41421,1.61803,0.57721,one,yes\n"
HEADER = b"a,b,c,d,e,kind,target\n"
LIMIT_S = 1200


def write(path: Path, size: int) -> int:
    block = ROW * 20_000
    with path.open("wb") as file:
        file.write(HEADER)
        while file.tell() < size:
            file.write(block)
        return file.tell()


class Meanwhile(threading.Thread):
    """Loads a page and looks at the web process's memory until it is stopped; failures while it restarts are no page."""

    def __init__(self, studio: Studio, cookie: str) -> None:
        super().__init__(daemon=True)
        self.studio, self.cookie, self.stopped = studio, cookie, threading.Event()
        self.seconds: list[float] = []
        self.base: dict[int, int] = {}
        self.growth = 0

    def run(self) -> None:
        while not self.stopped.wait(0.25):
            request = urllib.request.Request(self.studio.url + "/", headers={"Cookie": self.cookie})  # noqa: S310
            began = time.monotonic()
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    answer.read()
            except OSError:
                continue
            self.seconds.append(time.monotonic() - began)
            for pid in self.studio.pids("daphne"):
                rss = psutil.Process(pid).memory_info().rss
                self.base.setdefault(pid, rss)
                self.growth = max(self.growth, rss - self.base[pid])


def measure(folder: Path, size: int) -> dict[str, float]:
    path = folder / "large.csv"
    size = write(path, size)
    studio = Studio(folder / "data", "--port", "0").wait_ready()
    uploads, blobs = folder / "data" / "uploads", folder / "data" / "blobs"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            context = browser.new_context()
            page = context.new_page()
            page.goto(studio.link)
            page.get_by_role("link", name="Datasets").first.click()
            page.get_by_role("link", name="New dataset").click()
            cookie = "; ".join(f"{c['name']}={c['value']}" for c in context.cookies())
            page.get_by_label("File", exact=True).set_input_files(path)
            time.sleep(2.0)
            watch = Meanwhile(studio, cookie)
            watch.start()
            time.sleep(2.0)
            began = time.monotonic()
            page.get_by_role("button", name="Upload").click()
            eventually(lambda: _arrived(uploads) > size // 3, "a third has arrived", LIMIT_S)
            psutil.Process(studio.pids("daphne")[0]).kill()
            page.wait_for_url("**/dataset-versions/**", timeout=LIMIT_S * 1000)
            seconds = time.monotonic() - began
            watch.stopped.set()
            watch.join(40)
            arrived = _arrived(uploads) or max((p.stat().st_size for p in blobs.rglob("*") if p.is_file()), default=0)
            browser.close()
    finally:
        studio.stop()
    print(
        f"{size / 2**30:.2f} GiB in {seconds:.0f} s, {size / 2**20 / seconds:.0f} MiB/s, {len(watch.seconds)} other pages"
    )
    values = (watch.growth / 2**20, percentile(watch.seconds, 0.95) * 1e3, float(size - arrived))
    return dict(zip(BARS, values, strict=True))


def _arrived(folder: Path) -> int:
    return max((p.stat().st_size for p in folder.glob("*")), default=0)


def main() -> int:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else "2") * 2**30)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), size)
    for name, value in found.items():
        print(f"{name:<34}{value:>8.1f}   at most {BARS[name]:<6g}{'ok' if value <= BARS[name] else 'MISSED'}")
    return int(any(value > BARS[name] for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
