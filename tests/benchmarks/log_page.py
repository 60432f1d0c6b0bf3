"""A log of a million lines in a real browser: `python -m tests.benchmarks.log_page` (a minute).

Opened at its end, searched through for a line of its beginning (the worst case), and shown around that line. The best
of three, since other work on the machine only lengthens. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.e2e.chromium import ARGUMENTS, chromium
from tests.ops.stack import ROOT, Studio, environment

LINES, TRIES = 1_000_000, 3
MOST_S = {"opened at its end": 1.0}
SETUP = """
import json
from django.conf import settings
from django.test import Client
from studio.runs.models import Run, State
from studio.tracking import logs, publish
from tests import factories
from tests.benchmarks.log_page import LINES
publish.log_text = lambda *given: None
user = factories.make_user("reader")
project = factories.make_project("Long", team=factories.make_team("Readers", viewer=user))
run = factories.make_run(project, state=State.RUNNING, fence=1)
factories.make_attempt(run, fence=1)
data = b"".join(
    b"2026-11-27 12:%02d:%02d \\x1b[32mINFO\\x1b[0m step %d loss %.6f accuracy %.4f\\n"
    % (i // 60 % 60, i % 60, i, 1 / (i + 1), i / LINES) for i in range(LINES)
)
at = 0
while at < len(data):
    end = data.rfind(b"\\n", at, at + 64_000) + 1
    logs.append_log(run.pk, 1, at, data[at:end])
    at = end
Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED)
client = Client()
client.force_login(user)
print(json.dumps({"run": run.pk, "bytes": len(data), "name": settings.SESSION_COOKIE_NAME,
                  "value": client.cookies[settings.SESSION_COOKIE_NAME].value}))
"""


def filled(studio: Studio) -> dict[str, Any]:
    more = {"STUDIO_DATA_DIR": str(studio.data_dir), "DJANGO_SETTINGS_MODULE": "studio.settings"}
    code = f"import django; django.setup()\n{SETUP}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(**more), stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def timed(page: Page, url: str, words: str) -> float:
    """Seconds until the log on the page shows these words."""
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator("log-view", has_text=words).wait_for()
    return time.perf_counter() - began


def measure(folder: Path, shots: Path | None) -> dict[str, float]:
    studio = Studio(folder / "data", "--port", "0", "--workers", "0").wait_ready()
    try:
        ready = filled(studio)
        print(f"  {LINES:,} lines, {ready['bytes'] / 1e6:.0f} MB")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_cookies([{"name": ready["name"], "value": ready["value"], "url": studio.url}])
            page, url = context.new_page(), f"{studio.url}/runs/{ready['run']}/logs/"
            found = dict.fromkeys(("opened at its end", "searched to its beginning", "shown around a line"), 1e9)
            for _ in range(TRIES):
                seconds = [timed(page, url, f"step {LINES - 1} "), timed(page, f"{url}?q=step+77+", "step 77 loss")]
                began = time.perf_counter()
                page.locator(".log-lines a").click()
                page.wait_for_function("() => document.querySelector('#place') && CSS.highlights.size === 1")
                seconds.append(time.perf_counter() - began)
                found = {name: min(found[name], s) for name, s in zip(found, seconds, strict=True)}
            if shots:
                keep(page, url, shots)
            browser.close()
        return found
    finally:
        studio.stop()


def keep(page: Page, url: str, folder: Path) -> None:
    """Screenshots for people to look at."""
    for theme in ("light", "dark"):
        for width in (1440, 390):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            for name, query in (
                ("end", ""),
                ("found", "?q=step+77"),
                ("none", "?level=error"),
                ("around", "?q=step+77&at=5534"),
            ):
                page.goto(url + query)
                page.screenshot(path=folder / f"log-{name}-{theme}-{width}.png")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.screenshots)
    for name, seconds in found.items():
        most = MOST_S.get(name)
        bar = "" if most is None else f"at most {most:g}   {'ok' if seconds <= most else 'MISSED'}"
        print(f"  {name:<30}{seconds:>7.2f} s   {bar}")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    return int(any(found[name] > most for name, most in MOST_S.items()))


if __name__ == "__main__":
    sys.exit(main())
