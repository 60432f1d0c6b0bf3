"""A page of a browser that looks at one address after the other, and all that goes wrong in it."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Dialog, Page, Request

from tests.e2e.watch import Watch
from tests.ops.stack import eventually

# Elements that somebody wrote, attributes that would run, and scripts that are none of the studio's files.
WRITTEN = """() => {
  const found = [];
  for (const e of document.querySelectorAll("*")) {
    const runs = [...e.attributes].some((a) => /^on/i.test(a.name) || (/(^|:)(href|src|action|formaction|srcdoc|data)$/i.test(a.name) && /^\\s*(javascript|vbscript|data:text)/i.test(a.value)));
    const own = e.tagName !== "SCRIPT" || e.type === "application/json" || new URL(e.src || "x:").pathname.startsWith("/static/");
    if (runs || !own || e.hasAttribute("x9")) found.push(e.outerHTML.slice(0, 200));
  }
  return found;
}"""
# Everything that a page keeps folded, and every menu.
UNFOLD = """() => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  for (const menu of document.querySelectorAll("[data-bs-toggle=dropdown]")) menu.click();
}"""


class Tab:
    """A page of a context, and what is on its way to it."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.watch = Watch(context, host)
        self.watch.allow(r"status of 404", "WebSocket is closed before")
        self.page: Page = context.new_page()
        self.page.on("dialog", self._dialog)
        self._waiting: set[Request] = set()
        self.page.on("request", lambda request: self._waiting.add(request))
        for name in ("requestfinished", "requestfailed"):
            self.page.on(name, lambda request: self._waiting.discard(request))

    def _dialog(self, dialog: Dialog) -> None:
        self.watch.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, url: str) -> None:
        self._waiting.clear()
        answer = self.page.goto(url)
        assert answer is None or answer.ok, f"{url}: {answer.status}"
        assert urlsplit(self.page.url).path == urlsplit(url).path, f"{url} leads to {self.page.url}"
        self.settle()

    def settle(self) -> None:
        """Until nothing is asked for and what came is drawn."""

        def still() -> bool:
            self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            return not self._waiting

        eventually(still, f"{self.page.url} has all that it asked for")

    def written(self) -> list[str]:
        return list(self.page.evaluate(WRITTEN))
