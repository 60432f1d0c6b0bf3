"""Template tags and filters of all pages: icons, state pills, times, sizes, numbers, form controls."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from django import forms, template
from django.conf import settings
from django.forms import BoundField
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from studio.core.modules import modules_of

register = template.Library()

SPRITE = "vendor/tabler-icons-3.52.0/sprite.svg"
PLOTLY = "vendor/plotly-js-cartesian-dist-min-4.1.1/plotly-cartesian.min.js"
STATES = {
    "draft": ("edit", "Draft"),
    "queued": ("clock", "Queued"),
    "starting": ("rocket", "Starting"),
    "running": ("activity", "Running"),
    "pausing": ("player-pause", "Pausing"),
    "paused": ("player-pause", "Paused"),
    "cancelling": ("ban", "Cancelling"),
    "succeeded": ("circle-check", "Succeeded"),
    "failed": ("alert-circle", "Failed"),
    "cancelled": ("ban", "Cancelled"),
    "inspecting": ("search", "Inspecting"),
    "ready": ("circle-check", "Ready"),
    "rejected": ("alert-circle", "Rejected"),
}

# The pages that belong to a link of the navigation, where they are not those named like it.
PLACES = {
    "project": r"project|run|run-(?!create|defaults).*",
    "model-list": r"model(-.*)?",
    "dataset-list": r"dataset(-.*)?",
    "report-list": r"report(-.*)?",
    "share-links": r"share-.*",
    "registered-list": r"(registered|checkpoint)-.*",
    "project-storage": r"project-(storage|trash)|storage-.*",
    "team": r"team(-.*)?|run-defaults|audit-log",
}

# The letter that leads to a page after G.
GO = {
    "home": "h",
    "project": "r",
    "run-create": "n",
    "project-activity": "a",
    "queue": "q",
    "model-list": "m",
    "dataset-list": "d",
    "registered-list": "c",
    "project-storage": "s",
    "report-list": "o",
    "project-rules": "e",
    "share-links": "l",
    "worker-list": "w",
}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of the sprite, drawn in place; decorative unless `label` says what it means.

    A page has hundreds: a `<use>` for each would make the browser copy the shape, and style it, in a tree of its own.
    """
    shape = _shapes()[name]
    if label:
        return format_html('<svg class="icon" viewBox="0 0 24 24" role="img" aria-label="{}">{}</svg>', label, shape)
    return format_html('<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{}</svg>', shape)


@cache
def _shapes() -> dict[str, SafeString]:
    """What the sprite has for each name."""
    text = (settings.BASE_DIR / "static" / SPRITE).read_text(encoding="utf-8")
    shapes = re.findall(r'<symbol id="([^"]+)"[^>]*>(.*?)</symbol>', text, re.S)
    return {name: mark_safe(shape) for name, shape in shapes}  # noqa: S308 - a file of ours


@register.simple_tag
def module_script(name: str) -> SafeString:
    """A script of the pages, with all modules that it imports."""
    others = format_html_join("", '<link rel="modulepreload" href="{}">', ((static(one),) for one in modules_of(name)))
    return format_html('<script type="module" src="{}"></script>{}', static(name), others)


@register.simple_tag
def chart_library() -> SafeString:
    """For the head of a page that begins with charts: their library comes while the page is still read."""
    return format_html('<link rel="preload" as="script" href="{}">', static(PLOTLY))


@register.simple_tag
def charts_soon() -> SafeString:
    """For the head of a page that leads to charts: their library comes and is compiled while nothing else is to do."""
    return format_html('<link rel="prefetch" as="script" href="{}" data-charts-soon>', static(PLOTLY))


@register.simple_tag
def state_pill(state: str) -> SafeString:
    """A state as icon and word; never colour alone."""
    symbol, word = STATES.get(str(state), ("help-circle", str(state)))
    return format_html('<span class="pill pill-{}">{}<span>{}</span></span>', state, icon(symbol), word)


@register.simple_tag(takes_context=True)
def nav_link(context: template.Context, name: str, symbol: str, label: str, pk: Any = None) -> SafeString | str:
    """A link of the side navigation; nothing when the page does not exist in this installation."""
    try:
        url = reverse(name) if pk is None else _reverse_any(name, pk)
    except NoReverseMatch:
        return ""
    request = context.get("request")
    match = getattr(request, "resolver_match", None)
    here = str(match.url_name) if match is not None else ""
    current = re.fullmatch(PLACES.get(name, rf"{name}(-.*)?"), here)
    return format_html(
        '<a class="nav-item{}" href="{}"{}{}>{}<span>{}</span></a>',
        " active" if current else "",
        url,
        format_html(' data-go="{}"', GO[name]) if name in GO else "",
        mark_safe(' aria-current="page"') if current else "",
        icon(symbol),
        label,
    )


@register.filter
def may_edit(projects: Iterable[Any], pk: Any) -> bool:
    """Whether one of the projects may be changed. One that is not among them may: its pages refuse by themselves."""
    return all(project.may_edit for project in projects if str(project.pk) == str(pk))


def _reverse_any(name: str, pk: Any) -> str:
    try:
        return reverse(name, args=[pk])
    except NoReverseMatch:
        return reverse(name)


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """`3 min ago` with the exact time in the title; the browser keeps it fresh."""
    if moment is None:
        return "–"
    seconds = (timezone.now() - moment).total_seconds()
    text = "just now" if seconds < 5 else f"{_span(seconds)} ago"
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>', moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S} UTC", text
    )


def _span(seconds: float) -> str:
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {word}"
    return f"{int(seconds)} s"


@register.filter
def duration(seconds: float | None) -> str:
    """`1 h 02 min`, `3 min 20 s`, `12 s`."""
    if seconds is None or not math.isfinite(float(seconds)):
        return "–"
    total = round(float(seconds))
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {left:02d} s" if minutes else f"{total} s"


@register.filter
def filesize(size: float | None) -> str:
    """Bytes in decimal units: `1.4 MB`."""
    if size is None:
        return "–"
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:.1f} {units[0]}"


register.filter("bytes", filesize)


@register.filter
def metric(value: Any) -> str:
    """A number as people read it: four significant digits, exponents where they help, NaN and ∞ in words."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        words = {"NaN": "NaN", "Infinity": "∞", "-Infinity": "−∞"}
        return words.get(str(value), str(value))
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e6):
        return f"{int(value):,}".replace(",", "\u202f").replace("-", "−")
    size = abs(value)
    text = f"{value:.3e}" if size < 1e-3 or size >= 1e6 else f"{value:.4g}"
    return text.replace("-", "−")


@register.filter
def number(value: Any) -> str:
    """A whole number in groups of three."""
    return "–" if value is None else f"{int(value):,}".replace(",", "\u202f")


@register.filter
def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * float(value):.0f} %"


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """`{{ mapping|get:key }}`: None when it is missing."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def is_group(field: BoundField) -> bool:
    return isinstance(field.field.widget, forms.RadioSelect | forms.CheckboxSelectMultiple)


@register.filter
def choices(field: BoundField) -> list[Any]:
    """The inputs of a group, each with `tag` and `choice_label`."""
    field.field.widget.attrs["class"] = "form-check-input"
    return list(field)


@register.filter
def control(field: BoundField) -> SafeString:
    """The input with the classes of the theme, its error state and its descriptions."""
    widget = field.field.widget
    classes = widget.attrs.get("class", "")
    if isinstance(widget, forms.CheckboxInput):
        extra = "form-check-input"
    elif isinstance(widget, forms.Select):
        extra = "form-select"
    else:
        extra = "form-control"
    attrs: dict[str, str | bool] = {"class": f"{classes} {extra}{' is-invalid' if field.errors else ''}".strip()}
    described = [f"{field.auto_id}_error"] if field.errors else []
    described += [f"{field.auto_id}_helptext"] if field.help_text else []
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if field.errors:
        attrs["aria-invalid"] = "true"
    return field.as_widget(attrs=attrs)
