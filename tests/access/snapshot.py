"""The whole database as one value, to see that a request changed nothing."""

from __future__ import annotations

from typing import Any

from django.apps import apps

# A visit may renew its own session; a token notes when it was last used, a shared link that it was viewed.
_LEFT_OUT: dict[str, tuple[str, ...] | None] = {
    "sessions.session": None,
    "accounts.apitoken": ("last_used_at",),
    "accounts.user": ("last_login",),
    "reports.sharelink": ("views", "last_viewed_at"),
}


def snapshot() -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for model in apps.get_models():
        label = model._meta.label_lower
        if not model._meta.managed or (label in _LEFT_OUT and _LEFT_OUT[label] is None):
            continue
        left_out = _LEFT_OUT.get(label) or ()
        names = [f.attname for f in model._meta.concrete_fields if f.attname not in left_out]
        rows = model._base_manager.order_by("pk").values_list(*names)
        found[label] = [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows]
    return found
