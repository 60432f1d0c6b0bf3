"""Which methods a user really wrote: the question behind every hook that is not called."""

from __future__ import annotations

from functools import partial
from typing import Any


def is_overridden(name: str, instance: object, base: type) -> bool:
    """True when `instance` (or its class) has its own `name` instead of `base`'s."""
    if name in getattr(instance, "__dict__", ()):
        return True
    own = getattr(type(instance), name, None)
    default = getattr(base, name, None)
    if own is None or default is None:
        return own is not None
    return _plain(own) is not _plain(default)


def _plain(method: Any) -> Any:
    while isinstance(method, partial):
        method = method.func
    return getattr(method, "__func__", method)
