"""A report of 20 panels held to its bars in Chromium: `python -m tests.benchmarks.reports` (two minutes, alone).

20 charts of 5 runs of 200,000 points each, not frozen, so that every look reads the points. The page is opened several
times and the middle time until all its pictures are painted counts; then its HTML file is opened from the disk with the
network off. The exit code is 1 when a bar is missed or a picture is not there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.benchmarks.browser import Figure, busy_ms, middle, report, signed_in
from tests.e2e.prepared import LONG_METRICS, LONG_RUNS, prepare
from tests.ops.stack import ROOT, Studio

PANELS, REPEATS = 20, 5
BARS = {"rendered, ms": 1500.0, "HTML file, MB": 6.0, "HTML file opened offline, ms": 1500.0}
# The lines of all pictures that have a place on the page.
LINES = """() => [...document.querySelectorAll(".curve-line path:not(.curve-span)")].filter((path) => path.getTotalLength() > 100).length"""
PAINTED = """() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now()))))"""


def write_report(runs: list[int]) -> int:
    """In the studio of STUDIO_DATA_DIR; its key."""
    import django

    django.setup()
    from studio.accounts.models import User
    from studio.reports import writing
    from studio.runs.models import Run

    found = list(Run.objects.filter(pk__in=runs).order_by("number"))
    names = ["train/loss", *(f"train/metric_{k:02d}" for k in range(1, LONG_METRICS))][:PANELS]
    numbers = ", ".join(str(run.number) for run in found)
    parts = [f"## {n}\n\nWords.\n\n```chart\nruns: {numbers}\nmetrics: {n}\n```\n" for n in names]
    by = User.objects.order_by("pk")[0]
    return writing.create(project=found[0].project, by=by, title="Many", body="\n".join(parts)).pk


def opened(page: Page, url: str) -> Figure:
    before = busy_ms()
    page.goto(url, wait_until="load")
    painted = float(page.evaluate(PAINTED))
    lines = page.evaluate(LINES)
    assert lines == PANELS * LONG_RUNS, f"{lines} lines are drawn, not {PANELS * LONG_RUNS}"
    return painted, busy_ms() - before


def measure(folder: Path) -> dict[str, Figure]:
    studio = Studio(folder / "data", "--port", "0").wait_ready()
    try:
        with signed_in(studio) as page:
            runs = prepare(studio.data_dir, "long")["long"]
            env = {**os.environ, "DJANGO_SETTINGS_MODULE": "studio.settings", "STUDIO_DATA_DIR": str(studio.data_dir)}
            command = [sys.executable, "-m", "tests.benchmarks.reports", "--write", *map(str, runs)]
            pk = int(subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
            url = f"{studio.url}/reports/{pk}/"
            opened(page, url)
            found = {"rendered, ms": middle([opened(page, url) for _ in range(REPEATS)])}
            file = folder / "report.html"
            file.write_bytes(page.context.request.get(f"{url}export/").body())
            found["HTML file, MB"] = (file.stat().st_size / 1e6, 0.0)
            asked: list[str] = []
            context = page.context.browser.new_context(offline=True)  # type: ignore[union-attr]
            alone = context.new_page()
            alone.on("request", lambda request: asked.append(request.url))
            found["HTML file opened offline, ms"] = opened(alone, file.as_uri())
            assert asked == [file.as_uri()], f"the file asks for more than itself: {asked[:5]}"
    finally:
        studio.stop()
    return found


def main() -> int:
    if sys.argv[1:2] == ["--write"]:
        print(write_report([int(pk) for pk in sys.argv[2:]]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    return report(found, BARS)


if __name__ == "__main__":
    sys.exit(main())
