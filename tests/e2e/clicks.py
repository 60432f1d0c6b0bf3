"""Counts what a person does: clicks as the browser itself reports them, and acts outside of the page."""

from __future__ import annotations

from playwright.sync_api import Page

COUNT = "addEventListener('click', (e) => e.isTrusted && countClick(), true)"


class Clicks:
    """From its making on, trusted clicks on all pages of the browser's context."""

    def __init__(self, page: Page) -> None:
        self._seen: list[int] = []
        self.elsewhere = 0  # such as in the window in which a file is chosen
        page.context.expose_binding("countClick", lambda _: self._seen.append(1))
        page.context.add_init_script(COUNT)

    @property
    def count(self) -> int:
        return len(self._seen) + self.elsewhere
