"""Which studio, and as whom: given, or STUDIO_URL and STUDIO_TOKEN."""

from __future__ import annotations

import os

from studio.client.connection import Connection


def connect(url: str | None, token: str | None, *, timeout_s: float = 30.0) -> Connection | None:
    """None when neither an address nor a token is known; ValueError when one of the two is missing or odd."""
    url, token = url or os.environ.get("STUDIO_URL"), token or os.environ.get("STUDIO_TOKEN")
    if not url and not token:
        return None
    if not url:
        raise ValueError("url: give the address of the studio, or set STUDIO_URL.")
    if not token:
        raise ValueError("token: make one on your account page that may change things, or set STUDIO_TOKEN.")
    return Connection(url, token, timeout_s=timeout_s)


def default_token() -> str:
    return os.environ.get("STUDIO_TOKEN", "")
