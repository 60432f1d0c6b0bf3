"""The browser that the tests drive, and how it is started."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def chromium() -> str | None:
    """The path of the program; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)
