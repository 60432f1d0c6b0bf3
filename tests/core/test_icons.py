"""Icons of templates are shapes of the sprite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from studio.core.templatetags.studio import STATES, icon

TEMPLATES = Path(settings.BASE_DIR) / "templates"
USED = re.compile(r'(?:{% icon |(?:empty_icon|symbol)=)"([^"]+)"')
SHAPED = re.compile(r'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">(<(path|circle|rect)\b[^<>]+/>)+</svg>')


def test_every_icon_of_a_template_is_in_the_sprite() -> None:
    names = {name for path in TEMPLATES.rglob("*.html") for name in USED.findall(path.read_text(encoding="utf-8"))}
    assert len(names) > 50
    for name in names | {symbol for symbol, _ in STATES.values()}:
        assert SHAPED.fullmatch(icon(name)), name


def test_a_label_is_text() -> None:
    assert '<svg class="icon" viewBox="0 0 24 24" role="img" aria-label="a &quot;b&quot; &lt;c&gt;"><path' in icon(
        "star", 'a "b" <c>'
    )


def test_an_unknown_icon_is_an_error() -> None:
    with pytest.raises(KeyError):
        icon("no-such-icon")
