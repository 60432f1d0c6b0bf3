"""What a page must not do: errors on the console, breaches of the content policy, requests to other hosts."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response

REPORT = """
document.addEventListener("securitypolicyviolation", (event) =>
  reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
REFUSED_RESPONSE = r"Failed to load resource: the server responded with a status of "


class Watch:
    """Collects what all pages of a context did wrong; `allow` names what a test brings about on purpose."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.found: list[str] = []
        self._host = host
        self._allowed: list[str] = []
        context.expose_binding("reportViolation", lambda _, words: self.found.append(f"content policy: {words}"))
        context.add_init_script(REPORT)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.found.append(f"uncaught: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)

    def allow(self, *patterns: str) -> None:
        """Console messages and answers that are part of the test."""
        self._allowed += patterns

    def allow_breaks(self) -> None:
        """The server is away for a moment."""
        self.allow(r"net::ERR_", r"WebSocket connection to .* failed", r"status of 50\d", r"^answer 50\d")

    def wrongs(self) -> list[str]:
        return [words for words in self.found if not any(re.search(pattern, words) for pattern in self._allowed)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.found.append(f"request to another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.found.append(f"answer {response.status}: {response.url}")
