"""An ordinary form is not lost with what was typed in it when the studio is away or has forgotten who sends it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.hostile import Attacked

pytestmark = pytest.mark.timeout(600)
WORDS = "Half an hour of careful words."


@pytest.fixture
def discussion(browser: Browser, attacked: Attacked) -> Iterator[Page]:
    """The discussion of a run, with a comment typed and not sent."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    name, value = attacked.found["cookie"]
    context.add_cookies([{"name": name, "value": value, "url": attacked.studio.url}])
    context.set_default_timeout(60_000)
    page = context.new_page()
    path = next(path for path in attacked.found["pages"] if path.endswith("/discussion/"))
    page.goto(attacked.studio.url + path)
    page.wait_for_function("() => customElements.get('notification-bell') && document.readyState === 'complete'")
    page.locator("#new-comment [name=text]").fill(WORDS)
    yield page
    context.close()


def comments(page: Page) -> int:
    return page.get_by_text(WORDS, exact=True).and_(page.locator("p")).count()


def test_words_stay_while_the_studio_is_away_and_are_sent_once_when_it_is_back(
    discussion: Page, attacked: Attacked
) -> None:
    before, form = comments(discussion), discussion.locator("#new-comment")
    attacked.studio.stop()
    try:
        form.get_by_role("button", name="Comment").click()
        said = form.get_by_role("alert")
        expect(said).to_contain_text("The studio does not answer. What you typed is still here.")
        expect(said).to_be_in_viewport()
        expect(form.locator("[name=text]")).to_have_value(WORDS)
        form.locator("[name=text]").press("Tab")
        form.get_by_role("button", name="Try again").click()
        expect(said).to_be_visible()
    finally:
        attacked.start()
    form.get_by_role("button", name="Try again").dblclick()
    discussion.wait_for_url(re.compile("#comment-"))
    expect(discussion.locator("#new-comment [name=text]")).to_have_value("")
    assert comments(discussion) == before + 1


def test_words_stay_for_who_was_signed_out_and_are_sent_after_signing_in_elsewhere(
    discussion: Page, attacked: Attacked
) -> None:
    before, form = comments(discussion), discussion.locator("#new-comment")
    discussion.context.clear_cookies(name=attacked.found["cookie"][0])
    form.get_by_role("button", name="Comment").click()
    said = form.get_by_role("alert")
    expect(said).to_contain_text("You are signed out.")
    with discussion.context.expect_page() as opened:
        said.get_by_role("link", name="Sign in").click()
    login = opened.value
    login.locator("[name=username]").fill(attacked.found["name"])
    login.locator("[name=password]").fill(attacked.found["password"])
    login.get_by_role("button", name="Log in").click()
    login.get_by_role("heading", name="Home").wait_for()
    form.get_by_role("button", name="Try again").click()
    discussion.wait_for_url(re.compile("#comment-"))
    assert comments(discussion) == before + 1


def test_a_form_of_a_button_alone_says_so_in_its_cell(discussion: Page, attacked: Attacked) -> None:
    path = next(path for path in attacked.found["pages"] if path.endswith("/links/"))
    discussion.goto(attacked.studio.url + path)
    discussion.wait_for_function("() => customElements.get('notification-bell') && document.readyState === 'complete'")
    discussion.route("**/notifications/count.json", lambda route: route.abort())
    discussion.get_by_role("button", name="Take back").first.click()
    expect(discussion.locator("td").get_by_role("alert")).to_contain_text("The studio does not answer.")
    discussion.unroute("**/notifications/count.json")
    discussion.get_by_role("button", name="Try again").click()
    expect(discussion.get_by_text("The link is taken back")).to_be_visible()
