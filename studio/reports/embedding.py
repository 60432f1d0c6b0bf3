"""Shared pages inside pages of other sites: which sites may, and what is put into them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from studio.reports.errors import ShareError

MOST_ORIGINS, FIRST_HEIGHT_PX = 10, 600
# What a browser compares with the place of a page: no path, no user, no star. A source of a content policy, too, so
# nothing may be in it that ends one.
ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
SNIPPET = """<iframe src="{url}" title="{title}" loading="lazy" style="width: 100%; height: {height}px; border: 0"></iframe>
<script>
  addEventListener("message", (event) => {{
    if (event.origin !== "{origin}" || !(event.data?.studioHeight > 0)) return;
    for (const frame of document.querySelectorAll("iframe")) {{
      if (frame.contentWindow === event.source) frame.style.height = `${{Math.ceil(event.data.studioHeight)}}px`;
    }}
  }});
</script>"""


def origins_of(given: Sequence[str]) -> list[str]:
    """Each once, as browsers write it: `https://wiki.example`. ShareError for what is no origin, or too many."""
    found = dict.fromkeys(_origin(text) for text in given)
    if len(found) > MOST_ORIGINS:
        raise ShareError(f"A link can be embedded on at most {MOST_ORIGINS} sites; {len(found)} were given.")
    return list(found)


def snippet(url: str, title: str) -> str:
    """HTML for the page that embeds: the frame, and the few lines by which it gets as high as its content."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return SNIPPET.format(url=escape(url), title=escape(title), origin=origin, height=FIRST_HEIGHT_PX)


def _origin(text: str) -> str:
    origin = text.strip().lower().removesuffix("/")
    scheme, _, place = origin.partition("://")
    origin = origin.removesuffix({"https": ":443", "http": ":80"}.get(scheme, "?")) if place else origin
    if not ORIGIN.fullmatch(origin) or ".." in origin or int((re.search(r":(\d+)$", origin) or [0, 0])[1]) > 65535:
        raise ShareError(
            f"{text.strip()[:100]!r} is no site: give scheme, host and perhaps port, as https://wiki.example "
            "(a name with other letters in its xn-- form), without path and without *."
        )
    return origin
