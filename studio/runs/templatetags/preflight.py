"""Shapes, small times and numbers of a check, as people read them."""

from __future__ import annotations

from typing import Any

from django import template

from studio.runs.models import Preflight

register = template.Library()


@register.filter
def milliseconds(seconds: float | None) -> str:
    """`3.2 ms`, `1.4 s`, `2 min 5 s`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


@register.filter
def shape(sizes: list[int]) -> str:
    """`64 × 1 × 8 × 8`; `one number` for a scalar."""
    return " × ".join(str(size) for size in sizes) if sizes else "one number"


@register.filter
def numbers(values: list[Any]) -> str:
    shown = ", ".join("–" if v is None else f"{v:.3g}" for v in values[:13])
    return f"{shown}, …" if len(values) > 13 else shown


@register.filter
def answered_in(asked: Preflight) -> str:
    if asked.started_at is None or asked.ended_at is None:
        return ""
    return f"answered in {max(0.0, (asked.ended_at - asked.created_at).total_seconds()):.1f} s"
