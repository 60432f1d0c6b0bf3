"""Every page on a phone, full of long names: none scrolls sideways, and what one touches is large enough and in sight.

And what of a page is on paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.e2e import hostile
from tests.e2e.hostile import Attacked
from tests.e2e.room import AUDIT, TARGET_PX
from tests.e2e.tab import Tab
from tests.ops.stack import Studio

pytestmark = pytest.mark.timeout(900)
PHONE = {"width": 390, "height": 844}
#: What a page of 1440 px has at 200 %.
ENLARGED = {"width": 720, "height": 450}
MENU = "[data-bs-toggle=dropdown], [data-bs-toggle=collapse], details.tool-menu > summary"
UNFOLD = """() => document.querySelectorAll("details:not(.tool-menu)").forEach((fold) => { fold.open = true; })"""
AT_REST = "() => !document.querySelector('.collapsing')"


@pytest.fixture(scope="module")
def lengthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    data_dir = tmp_path_factory.mktemp("lengthy") / "data"
    studio = Studio(data_dir, "--port", "0", "--workers", "0").wait_ready()
    try:
        yield Attacked(data_dir, studio, hostile.prepare(data_dir, "tests.e2e.lengthy"))
    finally:
        studio.stop()


def audit(page: Page) -> list[str]:
    return list(page.evaluate(AUDIT, TARGET_PX))


def look(tab: Tab, url: str) -> list[str]:
    """What does not fit the page as it comes, with its folds open, with each of its menus open, and enlarged."""
    page = tab.page
    page.set_viewport_size(PHONE)
    tab.open(url)
    found = audit(page)
    page.evaluate(UNFOLD)
    tab.settle()
    found += audit(page)
    menus = page.locator(MENU)  # the one of the page comes first, and shows others
    for i in range(menus.count()):
        menu = menus.nth(i)
        if menu.is_visible():
            menu.evaluate("e => e.click()")
            page.wait_for_function(AT_REST)
            found += audit(page)
    page.set_viewport_size(ENLARGED)
    tab.settle()
    found += [f"enlarged: {words}" for words in audit(page)]
    return [f"{url}: {words}" for words in dict.fromkeys(found)]


def test_every_page_fits_a_phone_and_twice_its_size(open_tab: Callable[..., Tab], lengthy: Attacked) -> None:
    studio, found = lengthy.studio, lengthy.found
    wrongs = []
    for who, cookie in (("pages", found["cookie"]), ("anonymous", None)):
        tab = open_tab(studio, cookie, has_touch=True)
        for path in found[who]:
            wrongs += look(tab, studio.url + path)
    assert len(found["pages"]) > 50
    assert not wrongs, "\n".join(wrongs)


LISTS = (
    r"/|/projects/\d+/(models|datasets)/|/teams/\d+/|/runs/\d+/checkpoints/|/registered-models/\d+/|/workers/|/account/"
)
# Buttons of a row that lie beyond the right edge until somebody scrolls the table.
BEYOND = """() => [...document.querySelectorAll(".table-stack .btn")].filter((e) => e.checkVisibility())
  .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth).map((e) => e.innerText)"""


def test_the_buttons_of_a_row_are_in_sight_on_a_phone(open_tab: Callable[..., Tab], lengthy: Attacked) -> None:
    tab = open_tab(lengthy.studio, lengthy.found["cookie"], has_touch=True)
    tab.page.set_viewport_size(PHONE)
    paths = [path for path in lengthy.found["pages"] if re.fullmatch(LISTS, path)]
    stacked = 0
    for path in paths:
        tab.open(lengthy.studio.url + path)
        assert tab.page.evaluate(BEYOND) == [], path
        stacked += tab.page.locator(".table-stack").count()
    assert stacked >= 7, paths


PAPER = r"/runs/\d+/|/runs/\d+/charts/|/projects/\d+/|/projects/\d+/compare/.*|/reports/\d+/"
CLICKED = ".sidenav, .topbar, .tabs, .btn, .chart-tools, .table-tools, .bulk-bar, [type=checkbox]"
SHOWN = """(clicked) => [...document.querySelectorAll(clicked)].filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length)
  .filter((e) => !e.closest(".visually-hidden")).map((e) => e.outerHTML.slice(0, 120))"""


def test_paper_has_what_one_reads_and_nothing_that_one_clicks(open_tab: Callable[..., Tab], lengthy: Attacked) -> None:
    tab = open_tab(lengthy.studio, lengthy.found["cookie"])
    tab.page.emulate_media(media="print")
    paths = [path for path in lengthy.found["pages"] if re.fullmatch(PAPER, path)]
    assert len(paths) >= 5
    for path in paths:
        tab.open(lengthy.studio.url + path)
        assert tab.page.evaluate(SHOWN, CLICKED) == [], path
        assert tab.page.locator("main h1").is_visible()
