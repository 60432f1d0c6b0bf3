"""Secrets that are given out once: 256 random bits, of which only the sha256 is kept.

A fast hash is enough, since nobody can guess 256 bits; a look-up by the digest leaks nothing of the secret by its time.
"""

from __future__ import annotations

import hashlib
import secrets


def new_token(prefix: str = "") -> tuple[str, str]:
    """(the text to give out, the digest to keep)."""
    text = prefix + secrets.token_urlsafe(32)
    return text, token_digest(text)


def token_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
