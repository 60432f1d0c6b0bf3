"""Bring your own, within a minute and few clicks: a CSV to its first live point, and published Lightning code that runs."""

from __future__ import annotations

import csv
import importlib.util
import random
import re
import time
from pathlib import Path

import pytest

from tests.e2e.clicks import Clicks
from tests.e2e.journey import Visit
from tests.ops.stack import slowness

pytestmark = pytest.mark.timeout(600)
MOST_CLICKS, MOST_S = 8, 60.0


@pytest.fixture
def measurements(tmp_path: Path) -> Path:
    """300 rows with a target that follows from two of three columns."""
    path, draw = tmp_path / "measurements.csv", random.Random(0)  # noqa: S311
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["length", "width", "colour", "grown"])
        for _ in range(300):
            length, width = draw.gauss(0, 1), draw.gauss(0, 1)
            out.writerow([f"{length:.3f}", f"{width:.3f}", draw.choice("rgb"), "yes" if length > width else "no"])
    return path


def test_a_table_of_ones_own_is_a_live_run_within_a_minute(visit: Visit, measurements: Path) -> None:
    page, clicks = visit.page, Clicks(visit.page)
    visit.goto("/projects/1/")
    began = time.monotonic()
    page.get_by_role("link", name="Datasets").first.click()
    page.get_by_role("link", name="New dataset").click()
    with page.expect_file_chooser() as chooser:
        page.locator("input[type=file]").click()
    chooser.value.set_files(measurements)
    clicks.elsewhere += 1  # in the window of files, a double-click on the file
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="What should be predicted?").wait_for()
    assert page.get_by_label("Target", exact=True).input_value() == "grown", "the last column is proposed"
    page.get_by_role("button", name="Make the dataset").click()
    page.get_by_role("link", name=re.compile("^Train on this")).click()
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    visit.wait_for_points()
    took_s = time.monotonic() - began
    visit.keep("live")
    print(f"\nCSV to first live point: {clicks.count} clicks, {took_s:.1f} s")
    assert clicks.count <= MOST_CLICKS
    assert took_s <= MOST_S * slowness()
    visit.wait_for_state("succeeded")


def test_published_lightning_code_is_pasted_and_runs_within_a_minute(visit: Visit) -> None:
    """A demo of Lightning's own package, unchanged: its module and its data, both from the text of one file."""
    package = importlib.util.find_spec("lightning")
    assert package is not None
    assert package.origin is not None
    code = (Path(package.origin).parent / "pytorch/demos/boring_classes.py").read_text(encoding="utf-8")
    page, began = visit.page, time.monotonic()
    visit.goto("/projects/1/models/new/")
    visit.fill({"name": "Demo", "class_name": "DemoModel"})
    page.locator("code-editor .cm-content").fill(code)
    page.get_by_role("button", name="Register").click()
    page.wait_for_url(re.compile(r"/model-versions/\d+/"))
    visit.goto("/projects/1/datasets/new/?from=code")
    visit.fill({"name": "Demo data", "class_name": "BoringDataModule"})
    page.locator("code-editor .cm-content").fill(code)
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name=re.compile("^Train on this")).wait_for()
    visit.choose("Demo", "Demo data")
    visit.keep("form")
    assert page.locator("[name='model.learning_rate']").get_attribute("placeholder") == "0.02"
    visit.fill({"model.out_dim": "2", "trainer.max_epochs": "2"})
    visit.start()
    visit.wait_for_state("succeeded")
    took_s = time.monotonic() - began
    print(f"\npublished module: {took_s:.1f} s from the empty page to the end of its run")
    assert took_s <= MOST_S * slowness()
