"""Every page in a real browser, full of markup: none of it runs, and everybody can read and use the page, in both themes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from tests.e2e import hostile
from tests.e2e.hostile import Attacked
from tests.e2e.tab import UNFOLD, Tab
from tests.ops.stack import eventually

pytestmark = pytest.mark.timeout(600)
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# What axe-core calls serious or critical: rule, how often, the first place and why.
AUDIT = """async (rules) => {
  const options = { resultTypes: ["violations"], ...(rules.length ? { runOnly: { type: "rule", values: rules } } : {}) };
  const { violations } = await axe.run(document, options);
  return violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) =>
    `${one.id} (${one.nodes.length}): ${one.nodes[0].html.slice(0, 160)} ${one.nodes[0].any[0]?.message ?? ""}`);
}"""
# What follows the system's theme has done so; an exported report has one theme.
IS_DARK = """() => matchMedia("(prefers-color-scheme: dark)").matches
  && (document.documentElement.dataset.theme !== "system" || document.documentElement.dataset.bsTheme === "dark")"""
PLOTS = ".chart-frame, .chart-plot, spark-line, scatter-plot, par-coords"
TELLING_COLOURS = ["color-contrast", "link-in-text-block"]


def look(tab: Tab, url: str) -> list[str]:
    """What is wrong with a page, in words that name it."""
    page = tab.page
    tab.open(url)
    found = tab.written()
    page.evaluate(AXE)
    found += page.evaluate(AUDIT, [])
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(IS_DARK)
    tab.settle()
    found += [f"dark: {words}" for words in page.evaluate(AUDIT, TELLING_COLOURS)]
    page.emulate_media(color_scheme="light")
    plots = page.locator(PLOTS)
    for i in range(min(plots.count(), 2)):
        plots.nth(i).hover(force=True, timeout=5000)
    page.evaluate(UNFOLD)
    tab.settle()
    found += tab.written() + tab.watch.wrongs()
    tab.watch.found.clear()
    return [f"{url}: {words}" for words in found]


def test_nothing_that_people_wrote_runs_and_everybody_can_use_the_page(
    open_tab: Callable[..., Tab], attacked: Attacked
) -> None:
    studio, found = attacked.studio, attacked.found
    wrongs = []
    for who, cookie in (("pages", found["cookie"]), ("anonymous", None)):
        tab = open_tab(studio, cookie)
        for path in found[who]:
            wrongs += look(tab, studio.url + path)
    assert len(found["pages"]) > 50
    assert not wrongs, "\n".join(dict.fromkeys(wrongs))


def test_markup_that_got_through_would_be_seen(open_tab: Callable[..., Tab], attacked: Attacked) -> None:
    tab = open_tab(attacked.studio, attacked.found["cookie"])
    tab.open(attacked.studio.url + "/queue/")
    tab.page.evaluate("m => document.getElementById('main').insertAdjacentHTML('beforeend', m)", hostile.MARKUP)

    def is_told() -> bool:
        tab.page.wait_for_timeout(20)  # events come while something is asked of the browser
        return any("content policy: script-src" in words for words in tab.watch.found)

    eventually(is_told, "the content policy is breached")
    assert "x9" in tab.written()[0]


def test_the_search_shows_what_it_finds_as_text(open_tab: Callable[..., Tab], attacked: Attacked) -> None:
    studio, found = attacked.studio, attacked.found
    tab = open_tab(studio, found["cookie"])
    tab.open(studio.url + "/queue/")
    tab.page.keyboard.press("Control+k")
    tab.page.keyboard.type("x9")
    tab.page.get_by_role("option").filter(has_text="<img x9").first.wait_for()
    assert not tab.written() + tab.watch.wrongs()


def test_an_exported_report_opens_from_the_disk_and_runs_nothing(
    open_tab: Callable[..., Tab], attacked: Attacked, tmp_path: Path
) -> None:
    studio, found = attacked.studio, attacked.found
    answer = open_tab(studio, found["cookie"]).page.context.request.get(studio.url + found["report"])
    assert answer.ok
    (file := tmp_path / "report.html").write_bytes(answer.body())
    tab = open_tab(studio, None, "")
    tab.page.context.set_offline(True)
    wrongs = look(tab, file.as_uri())
    assert tab.page.get_by_text("<img x9 src=x onerror=alert(1)>").count()
    assert not wrongs, "\n".join(wrongs)
