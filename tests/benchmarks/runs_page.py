"""The runs page of a project of 10,000 runs in Chromium: `python -m tests.benchmarks.runs_page` (some minutes, alone).

The runs are those of `tests.benchmarks.runs_table`: about 200 choices and 100 metrics each. Opened several times in a
browser that has the scripts already: first paint, rows on the screen, and how many pictures a second it shows while it
scrolls from top to bottom by 40 pixels a picture. `--keep FOLDER` leaves the studio there and uses what is there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.benchmarks.browser import PAINT, Figure, busy_ms, middle, report, signed_in, until
from tests.ops.stack import ROOT, Studio

REPEATS = 5
QUERIES = {
    "": "", "wide, sorted": "?columns=state,val_acc.max,val_loss.min,metric_003.last,lr,optimizer,when&sort=-val_acc.max",
    "curves beside": "?charts=1",
}  # fmt: skip
BARS = {"first paint, ms": 1000.0, "rows on the screen, ms": 1000.0, "pictures a second, at least": 55.0}
ROWS = "() => document.querySelectorAll('runs-table tbody tr[data-run]').length >= 50 ? performance.now() : 0"
# Milliseconds between pictures while the page scrolls to its end and back.
SCROLL = """() => new Promise((resolve) => {
  const gaps = [];
  const most = document.scrollingElement.scrollHeight - innerHeight;
  let [last, at, by] = [0, 0, 40];
  const next = (now) => {
    if (last) gaps.push(now - last);
    last = now;
    at += by;
    if (at >= most) by = -40;
    if (at <= 0) return resolve(gaps);
    scrollTo({ top: at, behavior: "instant" });
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
})"""


def fill(count: int) -> int:
    """Runs in the first project of the studio of STUDIO_DATA_DIR; its key."""
    import django

    django.setup()
    from studio.accounts.models import Project, User
    from studio.runs import publish, queue
    from studio.tracking import publish as points
    from tests.benchmarks.runs_table import fill as fill_project

    queue._ring = lambda *args, **options: None  # type: ignore[assignment]
    publish._add = lambda *args: None  # type: ignore[assignment]
    points.metrics = lambda *args: None  # type: ignore[assignment]
    project = Project.objects.order_by("pk").first()
    assert project is not None
    missing = count - project.runs.count()
    if missing > 0:
        fill_project(missing, project, User.objects.order_by("pk")[0])
    return project.pk


def of_page(page: Page, url: str) -> tuple[Figure, Figure, Figure]:
    before = busy_ms()
    page.goto(url, wait_until="commit")
    rows = until(page, ROWS)
    paint, work = until(page, PAINT), busy_ms() - before
    page.wait_for_load_state("networkidle")
    before = busy_ms()
    gaps = page.evaluate(SCROLL)
    return (paint, 0.0), (rows, work), (1e3 * len(gaps) / sum(gaps), busy_ms() - before)


def measure(folder: Path, count: int) -> dict[str, Figure]:
    studio = Studio(folder, "--port", "0").wait_ready()
    found: dict[str, Figure] = {}
    try:
        with signed_in(studio) as page:
            env = {**os.environ, "DJANGO_SETTINGS_MODULE": "studio.settings", "STUDIO_DATA_DIR": str(studio.data_dir)}
            command = [sys.executable, "-m", "tests.benchmarks.runs_page", "--fill", str(count)]
            pk = int(subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
            for words, query in QUERIES.items():
                url = f"{studio.url}/projects/{pk}/{query}"
                of_page(page, url)
                rounds = [of_page(page, url) for _ in range(REPEATS)]
                for name, figure in zip(BARS, map(middle, zip(*rounds, strict=True)), strict=True):
                    found[f"{words}: {name}" if words else name] = figure
    finally:
        studio.stop()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fill", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="folder for the studio")
    given = parser.parse_args()
    if given.fill is not None:
        print(fill(given.fill))
        return 0
    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        found = measure(given.keep or Path(folder), given.runs)
    least = {name: figure for name, figure in found.items() if name.endswith("at least")}
    missed = report({k: v for k, v in found.items() if k not in least}, BARS)
    for name, (value, work) in least.items():
        print(f"{name:<46}{value:>9.1f}  (processor {work:>6.0f})   {'ok' if value >= 55 else 'MISSED'}")
    return int(missed or any(value < 55 for value, _ in least.values()))


if __name__ == "__main__":
    sys.exit(main())
