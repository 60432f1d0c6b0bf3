"""What people who use a keyboard or a screen reader need of every page, and colours that everybody can read."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from tests.access.matrix import Route
from tests.access.people import People
from tests.access.walk import listed_routes

PAGES = [
    route
    for route in listed_routes()
    if route.method == "GET" and 200 in route.expect.values() and "api" not in route.name
]
#: Files and data.
NO_PAGES = {
    "health", "upload", "checkpoint-download", "checkpoint-file", "run-folder-zip", "run-system-charts", "run-series", "run-log-text", "run-metrics", "project-metrics", "run-media-items",
    "run-media-file", "series", "chart-layout",
    "run-complete", "runs-export", "project-sparks",
    "notification-count", "shared-live", "shared-series", "shared-file", "search-items",
}  # fmt: skip
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
CONTROLS = {"input", "select", "textarea"}
FOCUSABLE = {*CONTROLS, "a", "button", "summary"}
NAMED_BY_THEMSELVES = {"hidden", "submit", "button"}


class Page(HTMLParser):
    """The elements of a page in their order, each with its attributes, its ancestors and all text inside it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, list(self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


class Element:
    def __init__(self, tag: str, attrs: dict[str, str], ancestors: list[Element]) -> None:
        self.tag, self.attrs, self.ancestors, self.text = tag, attrs, ancestors, ""

    def __str__(self) -> str:
        return f"<{self.tag} {self.attrs}>"


def wrongs(html: str) -> list[str]:
    """What axe-core calls serious in a page's structure, as far as it can be seen without drawing the page."""
    page = Page(html)
    found = [
        f"id {name} twice"
        for name, n in Counter(e.attrs["id"] for e in page.elements if "id" in e.attrs).items()
        if n > 1
    ]
    ids = {e.attrs["id"]: e for e in page.elements if "id" in e.attrs}
    labelled = {e.attrs["for"] for e in page.elements if e.tag == "label" and "for" in e.attrs}
    headings = [e for e in page.elements if re.fullmatch("h[1-6]", e.tag)]
    levels = [int(e.tag[1]) for e in headings]
    found += [f"empty {e}" for e in headings if not e.text.strip()]
    found += [f"{levels.count(1)} h1"] if levels.count(1) != 1 else []
    found += [
        f"h{b} after h{a}: {e.text.strip()}"
        for a, b, e in zip(levels, levels[1:], headings[1:], strict=False)
        if b > a + 1
    ]
    for element in page.elements:
        found += _wrongs_of(element, page, ids, labelled)
    return found


def _wrongs_of(element: Element, page: Page, ids: dict[str, Element], labelled: set[str]) -> list[str]:
    attrs, found = element.attrs, []
    for name in ("aria-labelledby", "aria-describedby", "aria-controls"):
        found += [f"{element}: no {key}" for key in attrs.get(name, "").split() if key not in ids]
    named = bool(attrs.get("aria-label", "").strip() or attrs.get("aria-labelledby"))
    is_field = element.tag in CONTROLS and attrs.get("type") not in NAMED_BY_THEMSELVES
    is_named = named or attrs.get("id") in labelled or any(a.tag == "label" for a in element.ancestors)
    if is_field and not is_named and "d-none" not in attrs.get("class", ""):
        found.append(f"no label: {element}")
    if element.tag == "form" and attrs.get("action") == "":
        found.append(f"sends to nowhere: {element}")
    if element.tag in ("a", "button") and not (named or element.text.strip()):
        found.append(f"no words: {element}")
    scrolls = "table-responsive" in attrs.get("class", "").split()
    if (
        scrolls
        and "tabindex" not in attrs
        and not any(e.tag in FOCUSABLE and element in e.ancestors for e in page.elements)
    ):
        found.append(f"scrolls without the keyboard: {element}")
    if "tabindex" in attrs and int(attrs["tabindex"]) > 0:
        found.append(f"an order of its own: {element}")
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("route", PAGES, ids=str)
def test_a_page_can_be_used_with_a_keyboard_and_read_aloud(people: People, route: Route) -> None:
    person = "owner" if route.expect["owner"] == 200 else "anonymous"
    kwargs = route.make(people)
    query = f"?{route.query(people, kwargs)}" if route.query else ""
    response = people.client(person).get(reverse(route.name, kwargs=kwargs) + query, headers=route.headers)
    html = "" if response.streaming else response.content.decode()
    assert ("<main" in html) is not (route.name in NO_PAGES)
    if route.name in NO_PAGES:
        return
    assert not wrongs(html)
    assert html.index('href="#main"') < html.index('id="main"')


def luminance(colour: str) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    digits = colour.lstrip("#")
    parts = [
        int(d * 2 if len(digits) == 3 else d, 16) / 255 for d in re.findall("." if len(digits) == 3 else "..", digits)
    ]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_controls_stand_out_from_what_is_behind_them(theme: str) -> None:
    css = (Path(settings.BASE_DIR) / "static/css/studio.css").read_text()
    block = css.split(f'[data-bs-theme="{theme}"] {{', 1)[1].split("}", 1)[0]
    token = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block))
    grounds = ("s-bg", "s-surface", "s-raised")
    pairs = [(ink, ground) for ink in ("s-text", "s-muted", "s-accent-ink", "s-bad", "s-warn") for ground in grounds]
    pairs += [(f"s-{name}", f"s-{name}-soft") for name in ("ok", "warn", "bad", "idle")] + [
        ("s-accent-ink", "s-accent-soft")
    ]
    pairs += [("s-text", "s-idle-soft"), ("s-muted", "s-idle-soft"), ("s-text", "s-accent-soft")]
    faint = {pair: round(contrast(token[pair[0]], token[pair[1]]), 2) for pair in pairs}
    assert not {pair: value for pair, value in faint.items() if value < 4.5}
    assert contrast(token["tblr-primary"], "#ffffff") >= 4.5, "words on the main button"
    edges = {
        pair: contrast(token[pair[0]], token[pair[1]])
        for pair in (("s-control", "s-surface"), ("s-accent", "s-surface"))
    }
    assert min(edges.values()) >= 3, edges
