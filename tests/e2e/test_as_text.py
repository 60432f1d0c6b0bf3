"""The YAML beside the form of a new run: highlighted, used by keys, marked where it is wrong, and a textarea without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.journey import Visit
from tests.e2e.test_every_page import AUDIT, AXE

pytestmark = pytest.mark.timeout(300)
# Colours of the text's parts, by their words.
COLOURS = """e => Object.fromEntries([...e.querySelectorAll(".cm-line span")].map((part) => [part.textContent, getComputedStyle(part).color]))"""
# From the element in whose shadow it may lie.
FOCUS = "() => { let e = document.activeElement; while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement; return e; }"


@pytest.fixture
def editor(visit: Visit) -> Locator:
    """The opened text of a form."""
    visit.choose("Tabular MLP", "Wine")
    visit.page.get_by_text("As text: YAML, command, script").click()
    editor = visit.page.get_by_role("textbox", name="YAML")
    expect(editor).to_contain_text("trainer:")
    return editor


def focus(page: Page) -> str:
    return str(page.evaluate(f"() => (({FOCUS})()?.outerHTML ?? '').slice(0, 200)"))


def line_of(visit: Visit, words: str) -> int:
    text = visit.page.locator("#as-yaml").input_value()
    return next(i for i, line in enumerate(text.splitlines(), 1) if words in line)


def test_its_editor_is_fetched_when_it_is_opened(visit: Visit) -> None:
    page = visit.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit.choose("Tabular MLP", "Wine")
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "codemirror" in url]
    with page.expect_response(re.compile("codemirror")):
        page.get_by_text("As text: YAML, command, script").click()
    expect(page.get_by_role("textbox", name="YAML")).to_contain_text("trainer:")


def test_its_parts_have_colours_that_can_be_read_in_both_themes(visit: Visit, editor: Locator) -> None:
    page = visit.page
    visit.fill({"trainer.max_epochs": "3"})
    expect(editor).to_contain_text("max_epochs: 3")
    page.keyboard.press("Control+Home")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function("theme => document.documentElement.dataset.bsTheme === theme", arg=theme)
        colours = editor.evaluate(COLOURS)
        plain = editor.evaluate("e => getComputedStyle(e).color")
        assert colours["max_epochs"] != plain, (theme, colours)
        page.evaluate(AXE)
        assert page.evaluate(AUDIT, []) == []
        page.locator(".as-text").first.scroll_into_view_if_needed()
        visit.keep(f"as-text-{theme}")


def test_it_is_written_by_keys_and_left_by_tab(visit: Visit, editor: Locator) -> None:
    page = visit.page
    page.locator("label[for=as-yaml]").click()
    expect(editor).to_be_focused()
    page.keyboard.press("Control+End")
    page.keyboard.type("# g.r/?\n")  # keys of the page outside of what is typed
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(editor).to_be_focused()
    assert page.locator("#as-yaml").input_value().endswith("# g.r/?\n")
    page.keyboard.press("Control+Home")
    page.keyboard.type("seed: 4321\n")
    expect(page.locator("[name=seed]")).to_have_value("4321")
    page.keyboard.press("Tab")
    assert "cm-content" not in focus(page)
    page.keyboard.press("Shift+Tab")
    expect(editor).to_be_focused()


def test_what_the_form_changes_leaves_the_cursor_where_it_was(visit: Visit, editor: Locator) -> None:
    page = visit.page
    visit.fill({"trainer.max_epochs": "3"})
    expect(editor).to_contain_text("max_epochs: 3")
    editor.focus()
    page.keyboard.press("Control+Home")
    page.evaluate(
        "() => { const f = document.querySelector('[name=\"trainer.max_epochs\"]'); f.value = '12'; f.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    expect(editor).to_contain_text("max_epochs: 12")
    page.keyboard.type("# first\n")
    assert page.locator("#as-yaml").input_value().startswith("# first\n")


def test_what_is_wrong_is_marked_at_its_line(visit: Visit, editor: Locator) -> None:
    page = visit.page
    visit.fill({"trainer.max_epochs": "3"})
    expect(editor).to_contain_text("max_epochs: 3")
    page.locator(".cm-line", has_text="max_epochs: 3").click()
    page.keyboard.press("End")
    page.keyboard.type("\nmax_step: 4")  # indented as the line above
    marks = page.locator(".cm-lint-marker-error")
    expect(marks).to_have_count(1)
    expect(page.locator("[data-errors]")).to_contain_text("max_step is no value of trainer")
    expect(editor).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".cm-lintRange-error")).to_have_text("max_step: 4")
    top = page.locator(".cm-line").nth(line_of(visit, "max_step") - 1).bounding_box()
    mark = marks.bounding_box()
    assert top is not None and mark is not None
    assert abs(top["y"] + top["height"] / 2 - mark["y"] - mark["height"] / 2) < top["height"] / 2
    visit.keep("as-text-wrong")
    page.keyboard.press("Shift+Home")
    page.keyboard.type("a: b: c")
    expect(page.locator("[data-errors]")).to_contain_text("is not valid YAML")
    expect(marks).to_have_count(1)
    page.keyboard.press("Shift+Home")
    page.keyboard.press("Delete")
    expect(marks).to_have_count(0)
    expect(page.locator("[data-errors]")).to_be_hidden()
    assert editor.get_attribute("aria-invalid") is None


def test_without_the_editor_it_is_a_textarea(visit: Visit) -> None:
    page = visit.page
    visit.watch.allow("codemirror", "Failed to fetch dynamically imported module", "ERR_FAILED")
    page.route(re.compile("codemirror"), lambda route: route.abort())
    visit.choose("Tabular MLP", "Wine")
    page.get_by_text("As text: YAML, command, script").click()
    area = page.get_by_role("textbox", name="YAML")
    expect(area).to_have_value(re.compile("trainer:"))
    area.fill("seed: 4321\n")
    expect(page.locator("[name=seed]")).to_have_value("4321")
