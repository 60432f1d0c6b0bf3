"""What a person does on the pages: open, fill in, start, watch; and what the page and the store hold of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page

from tests.e2e.watch import Watch
from tests.ops.stack import Studio, eventually

Points = dict[str, list[tuple[float, float]]]

LINES = """() => {
  const lines = document.querySelector("chart-grid")?.lines ?? new Map();
  return Object.fromEntries([...lines].map(([name, line]) => [name, line.x.map((x, i) => [x, line.y[i]])]));
}"""
X_RANGES = (
    """() => [...document.querySelectorAll("[data-points] .chart-plot")].map((plot) => plot._fullLayout.xaxis.range)"""
)
# By chart: the last step of its data, and how far the drawn axis reaches.
REACH = """() => [...document.querySelectorAll("[data-points]")].map((card) =>
  [card.dataset.metric, Number(card.dataset.lastStep), card.querySelector(".chart-plot")._fullLayout.xaxis.range[1]])"""
# Every `drawn` of the page: when (ms since the epoch), the newest point's time (s), the chart's last step and points.
RECORD_DRAWN = """
window.drawn = [];
addEventListener("drawn", (event) => {
  const { metric, lastStep, points } = event.target.dataset;
  drawn.push({ at: Date.now(), newest: event.detail.newest, metric, lastStep: Number(lastStep), points: Number(points) });
});
"""


@dataclass
class Visit:
    """A page of a studio, in somebody's browser."""

    page: Page
    studio: Studio
    watch: Watch
    artifacts: Path | None

    def goto(self, path: str) -> None:
        self.page.goto(self.studio.url + path)

    def keep(self, name: str) -> None:
        """A screenshot for people to look at, where they asked for them: STUDIO_TEST_ARTIFACTS."""
        if self.artifacts is None:
            return
        self.page.screenshot(path=self.artifacts / f"{name}.png", full_page=True)

    def json(self, path: str) -> Any:
        answer = self.page.context.request.get(self.studio.url + path)
        assert answer.ok, f"{path}: {answer.status}"
        return answer.json()

    def fill(self, values: Mapping[str, str]) -> None:
        """Type into fields by their names, opening folded parts."""
        for name, value in values.items():
            field = self.page.locator(f"[name='{name}']")
            fold = self.page.locator("details:not([open])", has=field)
            if fold.count():
                fold.locator("summary").click()
            if field.evaluate("e => e.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    def choose(self, model: str, dataset: str) -> None:
        """The form of a new run of a built-in or own model and dataset, named by the beginnings of their names."""
        self.goto("/projects/1/runs/new/")
        for field, wanted in (("model", model), ("dataset", dataset)):
            options = self.page.locator(f"#id_{field} option").all_inner_texts()
            found = [text for text in options if text.startswith(wanted)]
            assert found, f"{wanted!r} is not one of {options}"
            self.page.locator(f"#id_{field}").select_option(label=found[0])
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_role("button", name="Start the run").wait_for()

    def paste_model(self, name: str, code: str) -> None:
        """Send the code of a new model."""
        self.goto("/projects/1/models/new/")
        self.fill({"name": name})
        self.page.locator("code-editor .cm-content").fill(code)
        assert self.page.locator("[name='code']").input_value().strip() == code.strip()
        self.page.get_by_role("button", name="Register").click()

    def register_model(self, name: str, code: str) -> None:
        """Paste a model; ends on its page, inspected."""
        self.paste_model(name, code)
        self.page.get_by_role("link", name=re.compile("^New run with this")).wait_for()

    def upload_table(self, path: Path) -> None:
        """Choose a file on the page of a new dataset and send it; ends where the page leads."""
        self.goto("/projects/1/datasets/new/")
        self.page.locator("input[type=file]").set_input_files(path)
        self.page.get_by_role("button", name="Upload").click()

    def make_dataset(self, path: Path, target: str) -> None:
        """Upload a CSV and choose its target; ends on the page of the ready dataset."""
        self.upload_table(path)
        self.page.get_by_role("heading", name="What should be predicted?").wait_for()
        self.page.get_by_label("Target", exact=True).select_option(target)
        self.page.get_by_role("button", name="Make the dataset").click()
        self.page.get_by_role("link", name=re.compile("^Train on this")).wait_for()

    def start_from_dataset(self, model: str) -> int:
        """From the page of a dataset: train a model on it with nothing else entered."""
        self.page.get_by_role("link", name=re.compile("^Train on this")).click()
        self.page.get_by_role("button", name="Start the run").wait_for()
        proposed = self.page.locator("#id_model option:checked").inner_text()
        assert proposed.startswith(model), f"{proposed} is proposed, not {model}"
        return self.start()

    def open_results(self) -> dict[str, str]:
        """The Results tab with its charts drawn; its figures by their names."""
        self.page.get_by_role("link", name="Results").click()
        self.page.wait_for_function(
            "() => (all => all.length && all.every(c => c.dataset.drawn))([...document.querySelectorAll('result-chart')])"
        )
        self.keep("results")
        pairs = self.page.locator(".result-facts > div").evaluate_all(
            "all => all.map(e => [e.querySelector('dt').innerText, e.querySelector('dd').innerText])"
        )
        return dict(pairs)

    def zoom(self, metric: str, begin: float, end: float) -> list[list[float]]:
        """Drag over a part (shares of its width) of a chart; the x ranges of all charts once they have drawn it."""
        plot = self.page.locator(f"[data-metric='{metric}'] .nsewdrag").first
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        with self.page.expect_response(lambda response: "from=" in response.url):
            self.page.mouse.move(box["x"] + begin * box["width"], middle)
            self.page.mouse.down()
            self.page.mouse.move(box["x"] + end * box["width"], middle, steps=5)
            self.page.mouse.up()

        def ranges() -> list[list[float]]:
            found = self.page.evaluate(X_RANGES)
            return found if all(one == found[0] for one in found) else []

        return eventually(ranges, "all charts show the same part", 30)

    def last_value(self, run: int, metric: str) -> float:
        """The newest stored value of a metric."""
        found = self.json(f"/runs/{run}/series/")["series"]
        values = {series["name"]: series["last"][-1] for series in found}
        assert metric in values, f"{metric} is not one of {sorted(values)}"
        return float(values[metric])

    def best_value(self, run: int, metric: str) -> float:
        """The value of a metric where the validation loss was least: that of the checkpoint marked as best."""
        points = self.stored_points(run)
        step = min(points["val_loss"], key=lambda point: point[1])[0]
        return dict(points[metric])[step]

    def start(self) -> int:
        """Press the button of the form; the new run's key."""
        self.page.get_by_role("button", name="Start the run").click()
        self.page.wait_for_url(re.compile(r"/runs/\d+/$"))
        return int(self.page.url.rstrip("/").rpartition("/")[2])

    def wait_for_state(self, state: str, limit_s: float = 240.0) -> None:
        """Until the page itself says so, without being loaded again; a run that ends otherwise fails at once."""
        settled = "succeeded|failed|cancelled"
        self.page.wait_for_function(
            "([state, settled]) => new RegExp(`^(${state}|${settled})$`).test(document.querySelector('run-status')?.dataset.state)",
            arg=[state, settled],
            timeout=limit_s * 1000,
        )
        shown = self.page.locator("run-status").get_attribute("data-state")
        reason = self.page.locator("[data-reason]").inner_text()
        assert shown == state, f"the run is {shown}: {reason}\n{self.log_end()}"

    def log_end(self) -> str:
        run = re.search(r"/runs/(\d+)/", self.page.url)
        return self.json(f"/runs/{run[1]}/log/")["text"][-3000:] if run else ""

    def wait_for_points(self, count: int = 1, limit_s: float = 120.0) -> None:
        """Until one chart has drawn so many points."""
        self.page.wait_for_function(
            "count => [...document.querySelectorAll('[data-points]')].some(c => Number(c.dataset.points) >= count)",
            arg=count,
            timeout=limit_s * 1000,
        )

    def shown_points(self) -> Points:
        """What the charts of the page hold, by metric."""
        return as_points(self.page.evaluate(LINES))

    def stored_points(self, run: int) -> Points:
        found = self.json(f"/runs/{run}/series/?width=4000")
        assert all(series["bin"] == 0 for series in found["series"]), "too many points to compare one by one"
        return as_points({s["name"]: list(zip(s["x"], s["last"], strict=True)) for s in found["series"]})

    def assert_all_points_are_shown(self, run: int) -> None:
        """The page, which was never loaded again, has each stored point once and nothing else."""
        stored = self.stored_points(run)

        def same() -> bool:
            try:
                return self.shown_points() == stored
            except Error:
                return False

        try:
            eventually(same, "the charts hold what is stored", 60.0)
        except AssertionError:
            shown = self.shown_points()
            for name, points in stored.items():
                extra = [p for p in shown.get(name, []) if p not in points]
                missing = [p for p in points if p not in shown.get(name, [])]
                assert not (extra or missing or len(shown[name]) != len(points)), (
                    f"{name}: {len(shown.get(name, []))} shown, {len(points)} stored; missing {missing[:5]}, too much {extra[:5]}"
                )
            raise
        eventually(
            lambda: all(end >= last for _, last, end in self.page.evaluate(REACH)), "axes reach the last step", 30
        )
        for name, points in stored.items():
            steps = [x for x, _ in points]
            assert steps == sorted(set(steps)), f"{name} has a step twice or out of order"


def percentile(values: list[float], fraction: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))]


def as_points(found: Mapping[str, Any]) -> Points:
    """Points with words for what is not finite made equal to the page's gaps."""
    return {
        name: [(x, y if isinstance(y, int | float) and math.isfinite(y) else math.inf) for x, y in points]
        for name, points in found.items()
    }
