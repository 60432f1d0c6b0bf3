"""All routes that there are, and all that the sections list."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.urls import URLResolver, get_resolver

from tests.access.matrix import Route, Socket


def sections() -> list[Any]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("routes_*.py"))
    return [importlib.import_module(f"tests.access.{name}") for name in names]


def listed_routes() -> list[Route]:
    return [route for section in sections() for route in getattr(section, "ROUTES", [])]


def listed_sockets() -> list[Socket]:
    return [socket for section in sections() for socket in getattr(section, "SOCKETS", [])]


def real_routes() -> dict[str, str]:
    """The path of every URL pattern by its full name; one without a name goes by its path."""
    return dict(_walk(get_resolver(), "", ""))


def _walk(resolver: URLResolver, namespace: str, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry, inner, path)
        else:
            yield (f"{namespace}{entry.name}" if entry.name else path), path


def real_sockets() -> list[str]:
    from studio.live.routing import websocket

    inner: Any = websocket
    while not hasattr(inner, "routes"):
        inner = getattr(inner, "inner", None) or inner.application
    return [str(route.pattern) for route in inner.routes]
