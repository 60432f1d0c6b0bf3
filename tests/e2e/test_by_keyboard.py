"""Journeys by keyboard alone: rerun with changes, compare and decide, share, promote and download, what changed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.journey import Visit
from tests.e2e.prepared import prepare
from tests.ops.stack import Studio

MOST_STOPS = 300
# What is wrong with the element that has the focus: nothing to see of it, or not that it has the focus.
WRONG = """() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return "";
  const name = `${e.tagName.toLowerCase()} ${(e.getAttribute("aria-label") || e.innerText || e.name || e.id || "").trim().slice(0, 60)}`;
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  if (box.width < 1 || box.height < 1) return `${name} has no size`;
  if (box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) return `${name} is outside of the window`;
  const at = box.top < 0 || box.height > 300 ? null : document.elementFromPoint(Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1), Math.min(Math.max(box.top + Math.min(box.height, 40) / 2, 1), innerHeight - 1));
  if (at && !e.contains(at) && !at.contains(e) && !e.labels?.length) return `${name} is behind ${at.outerHTML.slice(0, 80)}`;
  if (e.matches(":focus-visible") && style.outlineStyle === "none" && style.boxShadow === "none") return `${name} does not show that it has the focus`;
  return "";
}"""
HAS_FOCUS = "e => e === document.activeElement"


class Keys:
    """A page that is used by its keys; every place of the focus on the way must be seen."""

    def __init__(self, visit: Visit) -> None:
        self.visit, self.page = visit, visit.page

    def open(self, path: str) -> None:
        self.visit.goto(path)
        self.ready()

    def ready(self) -> None:
        """Its scripts have come: keys before that are the browser's."""
        self.page.wait_for_function("() => customElements.get('command-palette') && document.readyState === 'complete'")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def to(self, target: Locator, key: str = "Tab") -> None:
        """Go on to a control."""
        target.wait_for()
        stops: list[str] = []
        while not target.evaluate(HAS_FOCUS):
            assert len(stops) < MOST_STOPS, f"{target} is not reached: {stops[-5:]}"
            self.press(key)
            stops.append(self.page.evaluate(WRONG))
        assert not [words for words in stops if words], [words for words in stops if words]

    def enter(self, target: Locator, key: str = "Tab") -> None:
        self.to(target, key)
        self.press("Enter")

    def row(self, number: int) -> None:
        """Down the table to a run."""
        box = self.page.get_by_role("checkbox", name=f"Choose run {number}", exact=True)
        for _ in range(MOST_STOPS):
            self.press("j")
            if box.evaluate(HAS_FOCUS):
                return
        raise AssertionError(f"run {number} is not in the table")

    def type_over(self, text: str) -> None:
        self.press("Control+a")
        self.page.keyboard.type(text)


@pytest.fixture(scope="module")
def prepared(studio: Studio, signed_in: dict[str, object]) -> list[int]:
    """A project, and its runs 1 to 6."""
    return prepare(studio.data_dir, "table")["table"]


@pytest.fixture
def keys(visit: Visit) -> Keys:
    return Keys(visit)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True).first


def test_two_values_are_changed_and_the_run_starts_again(keys: Keys, prepared: list[int]) -> None:
    page = keys.page
    keys.open(f"/projects/{prepared[0]}/")
    keys.row(6)
    keys.press("Enter")
    expect(page.locator("h1 bdi")).to_have_text("run bad")
    keys.ready()
    keys.press("r")
    search = page.locator("[data-field-search]")
    expect(search).to_be_focused()
    for name, value in (("model.lr", "3e-4"), ("data.batch_size", "64/2")):
        keys.type_over(name)
        expect(page.locator("[data-found]")).to_have_text("1 field")
        keys.press("Enter")
        expect(page.locator(f"[name='{name}']")).to_be_focused()
        keys.type_over(value)
        keys.to(search, "Shift+Tab")
    keys.press("Escape")
    expect(page.locator("[data-changes]")).to_have_text(re.compile(r"^2 changes against #6: "))
    keys.enter(button(page, "Start the run"))
    page.wait_for_url(re.compile(r"/runs/\d+/$"))


def test_five_runs_are_compared_and_one_is_marked(keys: Keys, prepared: list[int]) -> None:
    page = keys.page
    keys.open(f"/projects/{prepared[0]}/")
    keys.row(5)
    keys.press("x", "j", "j", "j", "j", "Shift+X")
    expect(page.locator("[data-chosen-count]")).to_contain_text("5 of")
    keys.press("c")
    expect(page.get_by_role("heading", name="Compare 5 runs")).to_be_visible()
    keys.ready()
    keys.enter(button(page, "Mark as winner"))
    expect(page.get_by_text("Not the winner")).to_be_visible()


def test_a_run_is_shared_with_somebody_without_an_account(keys: Keys, prepared: list[int]) -> None:
    page = keys.page
    keys.open(f"/runs/{prepared[1]}/")
    keys.press("s")
    expect(page.get_by_role("heading", level=1, name="Share run")).to_be_visible()
    keys.ready()
    keys.enter(button(page, "Make the link"))
    link = page.get_by_role("link", name="Look at it")
    keys.enter(link)
    page.wait_for_url(re.compile(r"/s/"))
    expect(page.get_by_role("heading", level=1, name="run 0")).to_be_visible()


def test_a_checkpoint_is_promoted_and_downloaded(keys: Keys, prepared: list[int]) -> None:
    page = keys.page
    keys.open(f"/runs/{prepared[1]}/")
    keys.press(".")
    page.keyboard.type("checkpoints")
    keys.press("Enter")
    page.wait_for_url(re.compile("/checkpoints/$"))
    keys.ready()
    keys.enter(page.get_by_role("link", name="Promote"))
    keys.to(page.locator("[name=name]"))
    keys.type_over("digits by keys")
    keys.to(page.locator("[name=alias]"))
    page.keyboard.type("candidate")
    keys.enter(button(page, "Promote"))
    expect(page.get_by_role("heading", level=1, name=re.compile("^digits by keys"))).to_be_visible()
    keys.ready()
    keys.to(page.get_by_role("link", name="Download"))
    with page.expect_download() as download:
        keys.press("Enter")
    assert download.value.path().stat().st_size > 0


def test_what_changed_is_found_and_halved(keys: Keys, prepared: list[int]) -> None:
    page = keys.page
    keys.open(f"/runs/{prepared[6]}/")
    keys.enter(page.get_by_role("link", name="what changed since the last good run"))
    expect(page.locator(".change-list > li").first).to_contain_text("Data likely")
    keys.ready()
    keys.enter(page.get_by_role("button", name=re.compile(r"^#6 with the data of #\d$")))
    page.wait_for_url(re.compile(r"/runs/\d+/$"))


@pytest.mark.parametrize("tab", ["", "charts/", "logs/", "config/", "checkpoints/", "discussion/"])
def test_the_focus_leaves_every_part_of_a_run(keys: Keys, prepared: list[int], tab: str) -> None:
    """Around the page and back to its beginning, without a trap."""
    page = keys.page
    keys.open(f"/runs/{prepared[1]}/{tab}")
    keys.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    keys.press("Enter", "Tab")
    wrongs, reached = [], 0
    while not page.evaluate("() => document.activeElement.matches('body, .skip-link')") and reached < MOST_STOPS:
        wrongs.append(page.evaluate(WRONG))
        keys.press("Tab")
        reached += 1
    assert reached < MOST_STOPS
    assert not [words for words in wrongs if words]
