"""What the studio did not do is said on the page, what was typed stays, and it can be tried again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.hostile import Attacked

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def form(browser: Browser, attacked: Attacked) -> Iterator[Page]:
    """The form of a new run, with something typed in it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    name, value = attacked.found["cookie"]
    context.add_cookies([{"name": name, "value": value, "url": attacked.studio.url}])
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(attacked.studio.url + attacked.found["form"])
    page.wait_for_function("() => customElements.get('run-form') && window.htmx")
    page.locator("[name='trainer.max_epochs']").fill("17")
    yield page
    context.close()


def asked(form: Page) -> None:
    """The question has come to the studio, and nothing was lost on the way."""
    expect(form.get_by_role("heading", name="Check")).to_be_visible()
    expect(form.get_by_role("alert")).to_have_count(0)
    expect(form.locator("[name='trainer.max_epochs']")).to_have_value("17")


def test_a_studio_that_is_away_is_named_and_the_press_can_be_tried_again(form: Page, attacked: Attacked) -> None:
    following = form.context.new_page()
    following.goto(attacked.studio.url + attacked.found["followed"])
    attacked.studio.stop()
    try:
        form.get_by_role("button", name="Check").click()
        said = form.get_by_role("alert")
        expect(said).to_contain_text("The studio does not answer.")
        expect(said).to_be_in_viewport()
        expect(following.get_by_role("alert")).to_contain_text("The studio does not answer.")
    finally:
        attacked.start()
    form.get_by_role("button", name="Try again").click()
    asked(form)
    expect(form.get_by_role("button", name="Check")).to_be_focused()
    expect(following.get_by_role("alert")).to_have_count(0)  # by itself


def test_who_was_signed_out_signs_in_elsewhere_and_goes_on(form: Page, attacked: Attacked) -> None:
    form.context.clear_cookies(name=attacked.found["cookie"][0])
    form.get_by_role("button", name="Check").click()
    said = form.get_by_role("alert")
    expect(said).to_contain_text("You are signed out. Sign in and try again.")
    with form.context.expect_page() as opened:
        said.get_by_role("link", name="Sign in").click()
    login = opened.value
    login.locator("[name=username]").fill(attacked.found["name"])
    login.locator("[name=password]").fill(attacked.found["password"])
    login.get_by_role("button", name="Log in").click()
    login.get_by_role("heading", name="Home").wait_for()
    form.get_by_role("button", name="Try again").click()
    asked(form)


def test_a_refusal_is_said_in_the_words_of_the_answer(form: Page) -> None:
    check = form.get_by_role("button", name="Check")
    check.evaluate("e => { e.setAttribute('hx-post', '/projects/999999/preflights/'); htmx.process(e); }")
    check.click()
    expect(form.get_by_role("alert")).to_contain_text("There is nothing here, or it is not shared with you.")


def test_what_is_typed_stays_in_a_part_that_is_replaced_again_and_again(form: Page, attacked: Attacked) -> None:
    form.goto(attacked.studio.url + attacked.found["followed"])
    form.wait_for_function("() => document.readyState === 'complete' && window.htmx")
    note, save = form.get_by_label("Note"), form.get_by_role("button", name="Save the note")
    for focus in (note, save):
        note.fill("half a sen")
        focus.focus()
        form.locator("#version").evaluate("e => { e.dataset.old = '1'; }")
        form.wait_for_function("() => !document.getElementById('version').dataset.old")
        expect(note).to_have_value("half a sen")
        expect(focus).to_be_focused()
