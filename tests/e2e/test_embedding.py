"""A report in a frame of another site: shown where its link allows it, as high as its content, with no cookie; refused elsewhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.journey import Visit
from tests.e2e.prepared import prepare

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
Serve = Callable[[], tuple[str, dict[str, str]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts sites of `localhost`, which for a browser is another site than the studio's 127.0.0.1; each serves its dict."""
    servers: list[ThreadingHTTPServer] = []

    def start() -> tuple[str, dict[str, str]]:
        pages: dict[str, str] = {}

        class Site(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages.get(self.path, "").encode()
                self.send_response(200 if body else 204)  # such as for an icon
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://localhost:{server.server_port}", pages

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def shared_report(visit: Visit, site: str) -> str:
    """What to put into a page of the site, as the page of the new link says it."""
    run = prepare(visit.studio.data_dir, "rich")["rich"][0]
    project = visit.json(f"/api/v1/runs/{run}")["project"]
    page, number = visit.page, visit.json(f"/api/v1/runs/{run}")["number"]
    visit.goto(f"/projects/{project}/reports/new/?runs={number}")
    page.get_by_label("Title").fill("Findings")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Findings").wait_for()
    page.get_by_role("link", name="Share", exact=True).click()
    page.get_by_label("Sites that may show it").fill(site)
    page.get_by_role("button", name="Make the link").click()
    snippet = page.get_by_label(re.compile("put this into the page"))
    visit.keep("snippet")
    return snippet.input_value()


def test_a_report_is_shown_in_a_frame_of_the_site_that_its_link_names(
    visit: Visit, serve: Serve, browser: Browser
) -> None:
    (wiki, its_pages), (other, others_pages) = serve(), serve()
    its_pages["/"] = others_pages["/"] = f"<!doctype html><title>Wiki</title>{shared_report(visit, wiki)}"
    context = browser.new_context(viewport={"width": 900, "height": 700})
    try:
        page = context.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(wiki)
        inside = page.frame_locator("iframe")
        inside.get_by_role("heading", name="Findings").wait_for()
        assert inside.locator(".curve-line path").count() > 0
        fits(page)
        page.set_viewport_size({"width": 420, "height": 700})  # it grows as its text gets narrower
        fits(page)
        assert not context.cookies() and not refused
        if visit.artifacts is not None:
            page.screenshot(path=visit.artifacts / "embedded.png", full_page=True)

        page.goto(other)
        page.wait_for_function("() => document.querySelector('iframe') !== null")
        page.wait_for_event("console", predicate=lambda m: "frame-ancestors" in m.text) if not refused else None
        assert any("frame-ancestors" in words for words in refused), refused
        assert page.frame_locator("iframe").get_by_role("heading", name="Findings").count() == 0
    finally:
        context.close()


def fits(page: Page) -> None:
    """Soon the frame is as high as its content, and so has no scroll bar."""
    frame = page.frames[1]
    high = "() => Math.ceil(document.body.getBoundingClientRect().height)"
    page.wait_for_function(
        "(high) => Math.abs(document.querySelector('iframe').clientHeight - high) <= 1", arg=frame.evaluate(high)
    )
    assert frame.evaluate("() => document.documentElement.scrollHeight <= innerHeight + 1")
